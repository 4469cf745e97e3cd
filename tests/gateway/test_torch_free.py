"""What a gateway needs to be installed with: no torch, and no more than its extra."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WITHOUT = """
import sys
missing = frozenset({missing!r})

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import admin_ui.app, gateway.app, shoal.cli, shoal.gateway_process
"""
"""The start of a gateway where some modules are not installed."""


def test_the_gateway_never_imports_torch_or_numpy():
    code = (
        "import sys, gateway.app; print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_gateway_starts_with_no_more_than_its_extra_installed():
    brought = closure([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["gateway"]])
    assert {"litestar", "sqlalchemy", "httpx"} <= brought
    modules = packages_distributions()
    missing = {name for name, owners in modules.items() if not brought & {plain(owner) for owner in owners}}
    missing -= {"admin_ui", "engine", "gateway", "policies", "shoal"}
    assert {"torch", "numpy", "tokenizers", "pytest"} <= missing
    code = WITHOUT.format(missing=sorted(missing))
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
