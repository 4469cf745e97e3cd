"""Variables and outputs are described, in the code and in the README of their module."""

import re

import pytest

BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
MODULES = ["modules/gpu-pools", "aws", "gcp"]


def blocks(folder) -> list[tuple[str, str, str]]:
    return [match for file in sorted(folder.glob("*.tf")) for match in BLOCK.findall(file.read_text())]


@pytest.mark.parametrize("module", MODULES)
def test_everything_is_described(module, tree) -> None:
    found = blocks(tree / module)
    assert len(found) > 3
    for kind, name, body in found:
        assert re.search(r"^  description = \S", body, re.MULTILINE), f"{kind} {name} of {module}"
        if kind == "variable":
            assert re.search(r"^  type +=", body, re.MULTILINE), f"{name} of {module} has no type"


@pytest.mark.parametrize("module", MODULES)
def test_the_readme_names_all_and_nothing_else(module, tree) -> None:
    readme = (tree / module / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)
    assert sorted(rows) == sorted(name for _, name, _ in blocks(tree / module))


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_examples_describe_theirs_too(cloud, tree) -> None:
    for example in (tree / cloud / "examples").iterdir():
        for _, name, body in blocks(example):
            assert re.search(r"^  description = \S", body, re.MULTILINE), f"{name} of {example.name}"


def test_pools_are_said_alike_everywhere(tree) -> None:
    """Terraform has no names for types: the three are one by this test alone."""
    types = {
        re.search(r"^  type = (map\(object\(.*?^  \}\)\))", body, re.MULTILINE | re.DOTALL)[1]
        for module in MODULES
        for kind, name, body in blocks(tree / module)
        if kind == "variable" and name in {"pools", "gpu_pools"}
    }
    assert len(types) == 1
