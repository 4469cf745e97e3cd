"""The README's first screen works as pasted; only the address and the place of packages are the test's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests" / "clients" / "node"


def snippet(language: str, mark: str, server) -> str:
    readme = (ROOT / "README.md").read_text()
    found = [code for code in re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL) if mark in code]
    assert len(found) == 1
    return found[0].replace("http://127.0.0.1:8080", server.url).replace("sk-shoal-…", server.api_key)


def run(arguments: list[str], server, **options) -> str:
    env = {**os.environ, "SHOAL_API_KEY": server.api_key}
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_snippet(server) -> None:
    assert '"embedding":[' in run(["bash", "-euc", snippet("sh", "curl", server)], server)


def test_the_python_snippet(server) -> None:
    assert run([sys.executable, "-c", snippet("python", "OpenAI", server)], server).split()[:2] == ["2", "384"]


def test_the_node_snippet(server, tmp_path) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "openai").is_dir():
        if os.environ.get("CI"):
            pytest.fail("CI must have Node and its SDK: make pytest installs them")
        pytest.skip("NO NODE SDK HERE: install Node and npm, then `make pytest`")
    script = snippet("js", "OpenAI", server)
    assert run([node, "--input-type=module", "-e", script], server, cwd=NODE).split()[0] == "384"
