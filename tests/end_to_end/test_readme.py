"""The README's first screen works as pasted; only the address and the place of packages are the test's."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def snippet(language: str, mark: str, server) -> str:
    readme = (ROOT / "README.md").read_text()
    found = [code for code in re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL) if mark in code]
    assert len(found) == 1
    return found[0].replace("http://127.0.0.1:8080", server.url).replace("sk-shoal-…", server.api_key)


def run(arguments: list[str], server) -> str:
    env = {**os.environ, "SHOAL_API_KEY": server.api_key}
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_snippet(server) -> None:
    assert '"embedding":[' in run(["bash", "-euc", snippet("sh", "curl", server)], server)


def test_the_python_snippet(server) -> None:
    assert run([sys.executable, "-c", snippet("python", "OpenAI", server)], server).split()[:2] == ["2", "384"]


def test_the_node_snippet(server, run_node) -> None:
    printed = run_node("--input-type=module", "-e", snippet("js", "OpenAI", server), SHOAL_API_KEY=server.api_key)
    assert printed.split()[0] == "384"
