"""Runs the scripts of tests/clients, each with the packages that are pinned beside it."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.api.cl100k import ORDINARY_TOKENS, vocabulary

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "clients"
ENVIRONMENTS = ROOT / ".clients"
OURS = "ours"
"""The environment of the tests themselves."""
NODE = "node"
LIMIT = 110.0


def run_script(
    script: str, environment: str, packages: Iterable[str], questions: Sequence[Mapping[str, Any]], *, at_once: int = 1
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The packages' versions, and an answer to each question."""
    told = {"packages": sorted(set(packages)), "questions": questions, "at_once": at_once}
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    done = subprocess.run(
        [*interpreter(environment), str(CLIENTS / script)],
        input=json.dumps(told), cwd=CLIENTS / Path(script).parent, env=kept | offline(),
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}: {done.stderr[-4000:]}"
    answered = json.loads(done.stdout)
    return answered["versions"], answered["answers"]


def pinned(environment: str, package: str) -> str:
    """The version that an environment has of a package."""
    lines = (CLIENTS / environment / "requirements.txt").read_text().split()
    return dict(line.split("==") for line in lines)[package]


def interpreter(environment: str) -> list[str]:
    """What runs the scripts of an environment; where there is none the test is skipped, and in CI it fails."""
    if environment == OURS:
        return [sys.executable]
    if environment == NODE:
        node = shutil.which("node")
        if node is not None and (CLIENTS / "node" / "node_modules" / "openai").is_dir():
            return [node]
        return lacking("NO NODE SDK HERE: install Node and npm, then `make clients`")
    python = ENVIRONMENTS / environment / "bin" / "python"
    return [str(python)] if python.exists() else lacking(f"NO CLIENTS HERE ({environment}): `make clients`")


def lacking(what: str) -> list[str]:
    """Say so."""
    return pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)


def offline() -> dict[str, str]:
    """Nothing is looked up elsewhere: there is no hub; the vocabulary that OpenAI's tokenizer would fetch is ours."""
    return {
        "PYTHONPATH": str(CLIENTS),
        "TIKTOKEN_CACHE_DIR": str(tiktoken_folder()),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
    }


def tiktoken_folder() -> Path:
    """tiktoken's cache with cl100k_base as published, made of what the gateway carries; tests of it hold its digest."""
    folder = ENVIRONMENTS / "tiktoken"
    file = folder / TIKTOKEN_FILE
    if not file.exists():
        tokens, offsets = vocabulary()
        parts = (tokens[offsets[rank] : offsets[rank + 1]] for rank in range(ORDINARY_TOKENS))
        lines = (base64.b64encode(part) + b" %d\n" % rank for rank, part in enumerate(parts))
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{TIKTOKEN_FILE}.{os.getpid()}"
        unfinished.write_bytes(b"".join(lines))
        unfinished.rename(file)
    return folder


TIKTOKEN_FILE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""What tiktoken calls it: the SHA-1 of the address from which it would fetch it."""
