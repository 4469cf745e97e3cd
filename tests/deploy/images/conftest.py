"""Images, built by buildah and run by podman, in a storage of their own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shoal import __version__

ROOT = Path(__file__).parents[3]
KEPT = ROOT / ".tools" / "images"
"""What takes long to fetch or to make, for the next time."""
RUNTIME = Path(__file__).parent / "runtime"
PROGRAMS = ("buildah", "podman", "runc", "mmdebstrap")
PROBE = Path("/sbin/ldconfig")
"""A program that needs no other file."""
REGISTRY = "localhost/shoal-test"
BASE = "localhost/debian:12-slim"


def missing(what: str) -> None:
    """Skip, and say what is not tested; in CI that is a failure."""
    pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)


@dataclass(frozen=True)
class Containers:
    """Both programs, over one storage."""

    environment: Mapping[str, str]

    def run(self, *words: str | Path, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        """What a program did."""
        return subprocess.run(
            [str(word) for word in words],
            capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
            env={**self.environment, **more.pop("variables", {})}, **more,
        )  # fmt: skip

    def do(self, *words: str | Path, **more: Any) -> str:
        """What it said; it must have worked."""
        done = self.run(*words, **more)
        assert done.returncode == 0, f"{words}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def podman(self, *words: str | Path, **more: Any) -> str:
        """What podman said; it must have worked."""
        return self.do("podman", "--runtime", RUNTIME, *words, **more)

    def inspect(self, what: str) -> dict[str, Any]:
        """An image or a container."""
        [found] = json.loads(self.podman("inspect", what))
        return dict(found)

    def sweep(self) -> None:
        """Nothing runs, and nothing is kept of what ran."""
        self.run("podman", "pod", "rm", "--all", "--force", "--time", "1")
        self.run("podman", "rm", "--all", "--force", "--time", "1")
        self.run("podman", "volume", "rm", "--all", "--force")
        self.run("podman", "secret", "rm", "--all")
        self.run("buildah", "rm", "--all")
        self.run("podman", "image", "prune", "--force", timeout=400)


@pytest.fixture(scope="session")
def containers(request: pytest.FixtureRequest) -> Iterator[Containers]:
    if not request.config.getoption("--images"):
        pytest.skip("Images are not built and run: `make test-images` does, in minutes")
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        missing(f"Images are not built: no {', '.join(absent)} here; `make test-images` brings them on Debian")
    storage = KEPT / "storage.conf"
    storage.parent.mkdir(parents=True, exist_ok=True)
    places = f'graphroot = "{KEPT / "storage"}"\nrunroot = "{KEPT / "running"}"\n'
    storage.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    opened = Containers(
        {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "HOME": os.environ["HOME"],
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        }
    )
    opened.sweep()
    refused = why_not(opened)
    if refused:
        # As in many sandboxes. It is no server that is missing, so CI does not fail of it.
        pytest.skip(f"IMAGES ARE NEITHER BUILT NOR RUN: this machine lets nobody run containers. {refused}")
    yield opened
    opened.sweep()


def why_not(containers: Containers) -> str:
    """What this machine says to an image of one program; nothing if it builds and runs."""
    container = containers.run("buildah", "from", "scratch").stdout.strip()
    run = ("podman", "--runtime", RUNTIME, "run", "--rm", "--network", "host", "localhost/probe", "/ldconfig", "-V")
    for words in (
        ("buildah", "copy", container, PROBE, "/ldconfig"),
        ("buildah", "run", container, "/ldconfig", "-V"),
        ("buildah", "commit", "--rm", container, "localhost/probe"),
        run,
    ):
        done = containers.run(*words)
        if done.returncode:
            return f"{' '.join(map(str, words[:2]))}: {done.stderr.strip()[-500:]}"
    return ""


@pytest.fixture(scope="session")
def base(containers: Containers) -> str:
    """Debian, made from its packages: there is no registry to pull it from."""
    archive = KEPT / "debian.tar"
    if not archive.exists():
        part = archive.with_suffix(".part")
        options = ("--variant=minbase", "--dpkgopt=force-unsafe-io", "--include=ca-certificates,python3,python3-venv")
        containers.do("mmdebstrap", "--format=tar", *options, "bookworm", part, timeout=500)
        part.rename(archive)
    if containers.run("podman", "image", "exists", BASE).returncode:
        containers.do("podman", "import", archive, BASE, timeout=120)
    return BASE


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """All wheels, by the pip of this machine and its settings."""
    pinned = b"".join((ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml"))
    folder = KEPT / f"wheels-{hashlib.sha256(pinned).hexdigest()[:12]}"
    if not folder.exists():
        for old in KEPT.glob("wheels-*"):
            shutil.rmtree(old)
        part = KEPT / "wheels-part"
        done = subprocess.run(
            [ROOT / "deploy" / "images" / "fetch-wheels", part],
            env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def images(containers: Containers, base: str, wheelhouse: Path) -> Mapping[str, str]:
    """Names of the gateway's and of the engine's, built by what users build them by."""
    variables = {"BASE_IMAGE": base, "WHEELHOUSE": str(wheelhouse), "REGISTRY": REGISTRY, "BUILDER": "buildah"}
    containers.do("deploy/images/build", "gateway", "engine-cpu", variables=variables, timeout=1200)
    of = f"{REGISTRY}/shoal"
    return {"gateway": f"{of}-gateway:{__version__}", "engine": f"{of}-engine:{__version__}-cpu"}


@pytest.fixture(scope="session")
def registry() -> str:
    return REGISTRY
