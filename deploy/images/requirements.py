"""Prints what Shoal needs with some of its extras, for pip (`python3 requirements.py EXTRA…`)."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *(each for name in sys.argv[1:] for each in extras[name]), sep="\n")
