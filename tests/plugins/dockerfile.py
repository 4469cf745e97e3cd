"""The Dockerfile as its text."""

import re
from pathlib import Path

FILE = Path(__file__).parents[2] / "deploy" / "images" / "Dockerfile"


def stages() -> dict[str, str]:
    """What each does, by its name."""
    found = re.split(r"^FROM \S+ AS (\S+)$", FILE.read_text(), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def variables(image: str) -> dict[str, str]:
    """What an image sets."""
    text = "\n".join(stages()[name] for name in ("runtime", image)).replace("\\\n", " ")
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV (.*)$", text, re.MULTILINE))))
