"""On what, with which versions and at which commit a measurement was made: a number without these is worth nothing."""

import datetime
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

PACKAGES = ("torch", "tokenizers", "sentence-transformers", "transformers", "litestar", "uvicorn", "uvloop", "httpx")
PROJECT = Path(__file__).resolve().parent.parent


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    kernel: str
    python: str
    packages: dict[str, str]
    commit: str
    """With `+` where tracked files differ from it."""
    date: str
    """UTC."""
    load_average: float
    """Of the minute before the measurement: above about 0.5 somebody else was at work."""


def describe() -> Machine:
    """The machine this runs on, now."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        processor=_processor(Path("/proc/cpuinfo").read_text()),
        cores=os.cpu_count() or 1,
        memory_gib=round(pages / 2**30, 1),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        kernel=platform.release(),
        python=platform.python_version(),
        packages=_versions(),
        commit=_commit(),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        load_average=round(os.getloadavg()[0], 2),
    )


def _processor(cpuinfo: str) -> str:
    """Model name, with the vector instructions that decide how fast matrices multiply."""
    name = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    family = re.search(r"^cpu family\s*:\s*(\d+)$", cpuinfo, re.MULTILINE)
    model = re.search(r"^model\s*:\s*(\d+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    vectors = next((flag for flag in ("amx_tile", "avx512f", "avx2") if flag in known), "no AVX2")
    numbers = f", family {family[1]} model {model[1]}" if family and model else ""
    return f"{name[1] if name else platform.machine()}{numbers}, {vectors}"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
