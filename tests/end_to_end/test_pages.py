"""README and docs work as pasted: every block runs from the file; only the server's address and key are ours.

A page's Python runs where the page says, in one process; a line's output is what it says of itself.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from client_scripts import NODE, ROOT, interpreter, offline
from helper_scripts import run_steps
from labelled import MODEL
from snippets import PAGES, RUN, SNIPPETS, Snippet

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

NOT_RUN = {"README.md": 4, "docs/databases/weaviate.md": 1}
"""Blocks that can not be: they need a hub, other machines or accounts, or a database that is not to be had here."""
SERVED = {"BAAI/bge-m3": "all-three"}
"""The published names that pages use, and the small random model with the same outputs that answers to each here."""


SHOAL = f"""\
#!/bin/bash
set -o pipefail
{sys.executable} -m shoal "$@" | sed 's/sk-shoal-[A-Za-z0-9_-]*/sk-shoal-…/'
"""


@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory, head_folders, register_heads):
    with start_server(tmp_path_factory.mktemp("data"), "--default-model", MODEL) as server:
        register_heads(server, {name: head_folders[head] for name, head in SERVED.items()})
        yield server


@pytest.fixture
def replaced(server):
    return {"http://127.0.0.1:8080": server.url, "sk-shoal-…": server.api_key}


def here(code: str, replaced) -> str:
    for word, meant in replaced.items():
        code = code.replace(word, meant)
    return code


def of(language: str) -> list[Snippet]:
    return [snippet for snippet in SNIPPETS if snippet.language == language and snippet.why_not is None]


def lines(printed: str) -> list[str]:
    return [line.rstrip() for line in printed.splitlines()]


@pytest.mark.parametrize("page", dict.fromkeys(snippet.page for snippet in of("python")))
def test_python(page, server, replaced, tmp_path, request):
    blocks = [snippet for snippet in of("python") if snippet.page == page]
    variables = {}
    if "psycopg" in "".join(block.code for block in blocks):
        postgres = request.getfixturevalue("postgres")
        variables = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "shoal"}
    taken = [("written", {"code": here(block.code, replaced), "place": block.place}) for block in blocks]
    printed = run_steps(
        "examples.py", server.api_key, *taken,
        environment=blocks[0].environment, folder=tmp_path, variables=variables,
    )  # fmt: skip
    for block, shown in zip(blocks, printed, strict=True):
        assert lines(shown) == block.prints, block.place


@pytest.mark.parametrize("block", of("js"), ids=lambda block: block.place)
def test_node(block, server, replaced):
    command = [*interpreter(NODE), "--input-type=module", "-e", here(block.code, replaced)]
    assert lines(run(command, server, ROOT / "tests" / "clients" / "node")) == block.prints


@pytest.mark.parametrize("block", of("sh"), ids=lambda block: block.place)
def test_shell(block, server, replaced, tmp_path):
    """curl is told that a refusal is a failure, which it does not find by itself; keys are shown to nobody."""
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    command = tmp_path / ".venv" / "bin" / "shoal"
    command.parent.mkdir(parents=True)
    command.write_text(SHOAL)
    command.chmod(0o755)
    assert run(["bash", "-euo", "pipefail", "-c", here(block.code, replaced)], server, tmp_path)


def run(command: list[str], server, folder: Path) -> str:
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "CURL_HOME": str(folder),
        "SHOAL_API_KEY": server.api_key, "SHOAL_DATA_DIR": str(server.data_dir),
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=offline() | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_no_block_is_left_out_unseen():
    assert Counter(snippet.page for snippet in SNIPPETS if snippet.why_not) == NOT_RUN
    fences = sum(file.read_text().count("\n```") for file in PAGES)
    assert 2 * len(SNIPPETS) == fences, "a fence that is not at the beginning of its line, or not closed"
    assert {snippet.language for snippet in SNIPPETS} <= set(RUN)
    assert not [snippet.place for snippet in of("python") + of("js") if not snippet.prints], "it shows nothing"


@pytest.mark.parametrize("page", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_index_has_every_page():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)", index.read_text())}
    assert linked >= {page for page in PAGES if page.is_relative_to(index.parent)} - {index}


def test_what_pages_have_installed_is_an_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for page in PAGES for extra in re.findall(r"pip install '\.\[(\w+)\]'", page.read_text())}
    assert {"chroma", "qdrant", "weaviate", "lancedb", "milvus", "pgvector"} <= named <= extras.keys()
