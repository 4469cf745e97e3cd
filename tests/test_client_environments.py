"""The environments of real clients are pinned to the last package, and small."""

import re
from pathlib import Path

import pytest

PINNED = re.compile(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.!+]+")
FILES = sorted(Path(__file__).parent.glob("clients/*/requirements.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_every_package_has_one_version_and_none_brings_torch(file: Path) -> None:
    """They are installed without looking at what they depend on."""
    lines = file.read_text().split()
    names = [found.group(1).lower() for line in lines if (found := PINNED.fullmatch(line))]
    assert len(names) == len(set(names)) == len(lines) > 0
    assert not [name for name in names if name in {"torch", "tensorflow"} or name.startswith("nvidia-")]
