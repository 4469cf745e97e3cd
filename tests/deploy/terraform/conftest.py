"""Terraform, offline: the real provider of AWS from the machine, a schema of Google's, and the modules in a copy."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TREE = ROOT / "deploy" / "terraform"
MIRROR = ROOT / ".tools" / "terraform"


def missing(what: str) -> None:
    """Skip, and say what is not tested; in CI that is a failure."""
    pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)


@dataclass(frozen=True)
class Terraform:
    """The program, in one folder."""

    program: str
    folder: Path
    mirror: Path
    variables: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *words: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
        """What it did, with no settings of the machine."""
        said = {f"TF_VAR_{name}": json.dumps(value) for name, value in self.variables.items()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_CLI_ARGS_init": f"-plugin-dir={self.mirror}",
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **said,
        }
        return subprocess.run(
            [self.program, f"-chdir={self.folder}", *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment,
        )

    def do(self, *words: str, timeout: float = 110) -> str:
        """What it said; it must have worked."""
        done = self.run(*words, "-no-color", timeout=timeout)
        assert done.returncode == 0, f"terraform {' '.join(words)}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout


@pytest.fixture(scope="session")
def tree() -> Path:
    return TREE


@pytest.fixture(scope="session")
def program() -> str:
    found = shutil.which("terraform")
    if found is None:
        missing("The Terraform modules are not checked: no terraform here (1.9 or newer)")
    return str(found)


@pytest.fixture(scope="session")
def mirror() -> Path:
    if not (MIRROR / "registry.terraform.io").is_dir():
        missing("The Terraform modules are not checked: no providers here; `make deploy-tools` brings them")
    return MIRROR


@pytest.fixture(scope="session")
def aws_mirror(mirror: Path) -> Path:
    if not list(mirror.glob("*/hashicorp/aws")):
        missing("The AWS module is not checked: the machine has no provider of AWS")
    return mirror


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole tree, for one file's tests: what they write is left behind neither there nor before other tests."""
    return Path(
        shutil.copytree(
            TREE,
            tmp_path_factory.mktemp("terraform") / "tree",
            ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"),
        )
    )


@pytest.fixture(scope="module")
def terraform_in(program: str, mirror: Path, copied: Path) -> Callable[[str], Terraform]:
    """Terraform in a folder of the copied tree, initialised."""

    def opened(folder: str) -> Terraform:
        if folder.startswith("aws") and not list(mirror.glob("*/hashicorp/aws")):
            missing("The AWS module is not checked: the machine has no provider of AWS")
        terraform = Terraform(program, copied / folder, mirror)
        terraform.do("init", "-backend=false")
        return terraform

    return functools.cache(opened)


@pytest.fixture(scope="session")
def helm() -> Path:
    found = ROOT / ".tools" / "helm4" / "helm"
    if not found.is_file():
        missing("The chart does not see Terraform's values: no Helm here; `make deploy-tools` brings it")
    return found
