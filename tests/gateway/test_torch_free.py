"""What a gateway, and a node, need to be installed with: no more than their extras, and a gateway no torch."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WITHOUT = """
import sys
missing = frozenset({missing!r})

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import shoal.cli, {started}
"""
"""A start where some modules are not installed."""


def test_the_gateway_never_imports_torch_or_numpy():
    code = (
        "import sys, gateway.app; print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("extra", "started", "needed", "spared"),
    [
        (
            "gateway",
            "admin_ui.app, gateway.app, shoal.gateway_process",
            {"sqlalchemy"},
            {"torch", "numpy", "tokenizers"},
        ),
        ("engine", "shoal.commands.engine, engine.runtime", {"torch"}, {"sqlalchemy", "cryptography", "alembic"}),
    ],
)
def test_a_process_starts_with_no_more_than_its_extra_installed(extra, started, needed, spared):
    brought = closure([*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]])
    assert {"litestar", "httpx"} | needed <= brought
    modules = packages_distributions()
    missing = {name for name, owners in modules.items() if not brought & {plain(owner) for owner in owners}}
    missing -= {"admin_ui", "engine", "gateway", "policies", "shoal"}
    assert spared | {"pytest"} <= missing
    code = WITHOUT.format(missing=sorted(missing), started=started)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def closure(requirements):
    """The distributions that these bring, of those that are here."""
    found, due = set(), [(requirement, "") for requirement in requirements]
    while due:
        said, wanted = due.pop()
        requirement, _, marker = said.partition(";")
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if extra is not None and extra[1] != wanted:
            continue
        name = plain(re.match(r"[\w.-]+", requirement)[0])
        inner = re.search(r"\[([\w-]+)\]", requirement)
        if (name, inner and inner[1]) in found:
            continue
        found.add((name, inner and inner[1]))
        try:
            due += [(each, inner[1] if inner else "") for each in requires(name) or []]
        except PackageNotFoundError:
            continue  # for another system
    return {name for name, _ in found}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
