"""Runs the steps of scripts that use Shoal's own classes, in the environments of the libraries that these are for."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client_scripts import CLIENTS, LIMIT, ROOT, interpreter, offline


def run_steps(
    script: str,
    key: str,
    *taken: tuple[str, dict[str, Any]],
    environment: str | None = None,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> list[Any]:
    """What steps of a script gave, in one new process; the key is in variables, and nowhere else.

    The environment is that of the script's folder, where none is named.
    """
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment = environment or script.partition("/")[0]
    # Milvus Lite looks for keys in variables of its own.
    keys = dict.fromkeys(("SHOAL_API_KEY", "OPENAI_API_KEY", "COHERE_API_KEY"), key)
    paths = os.pathsep.join(map(str, (CLIENTS, ROOT)))
    done = subprocess.run(
        [*interpreter(environment), str(CLIENTS / script)],
        input=json.dumps(taken), cwd=folder or CLIENTS / environment,
        env=kept | offline() | keys | {"PYTHONPATH": paths, "ANONYMIZED_TELEMETRY": "False"} | dict(variables or {}),
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}: {done.stderr[-4000:]}"
    assert key not in done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found
