"""What the text of the images holds to; `make test-images` builds them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import FILE, stages, variables

from shoal import __version__

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "deploy" / "images"
PARTS = ("gateway", "engine")


@pytest.mark.parametrize("part", PARTS)
def test_user_entry_and_health_are_the_same_of_both(part) -> None:
    assert f"\nFROM runtime AS {part}\n" in FILE.read_text()
    own = set(re.findall(r"^([A-Z]+) ", stages()[part], re.MULTILINE))
    assert own == {"COPY", "ENV", "EXPOSE", "CMD", "ARG", "LABEL"}


def test_a_gateway_is_not_given_what_nodes_need() -> None:
    assert "requirements.py gateway s3 otel >" in stages()["gateway-dependencies"]
    assert "requirements.py engine otel >" in stages()["engine-dependencies"]


@pytest.mark.parametrize("part", PARTS)
def test_an_image_by_itself_is_set_as_the_chart_sets_it(part) -> None:
    text = (ROOT / "deploy" / "helm" / "shoal" / "templates" / part / "deployment.yaml").read_text()
    text = text.partition("pick $env")[0]  # which names variables without their values
    said = dict(re.findall(r'"(SHOAL_HOST|SHOAL_PORT|SHOAL_DATA_DIR|HOME|HF_HOME|XDG_CACHE_HOME)" "?([^" )]+)', text))
    assert len(said) == 5
    assert said.items() <= variables(part).items()
    assert f"EXPOSE {said['SHOAL_PORT']}\n" in stages()[part]


def test_no_secret_and_no_data_goes_into_an_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    assert lines[1] == "*"
    taken = {line[1:] for line in lines if line.startswith("!")}
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    packages = tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {"LICENSE", "README.md", "constraints.txt", "pyproject.toml", "deploy/images/*.py"}
    assert taken == files | set(packages)


def build(folder: Path, *images: str, **variables: str) -> list[list[str]]:
    """The calls that `build` makes of a builder, in place of which something writes down its words."""
    builder = folder / "buildah"
    builder.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" END >>{folder}/calls\n')
    builder.chmod(0o755)
    done: Any = subprocess.run(
        [IMAGES / "build", *images],
        env={"PATH": f"{folder}:/usr/bin:/bin", **variables}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or "There is no image" in done.stderr
    calls = folder / "calls"
    return [call.split("\n") for call in calls.read_text().split("\nEND\n")[:-1]] if calls.exists() else []


def test_images_are_called_as_the_chart_calls_them(tmp_path) -> None:
    calls = build(tmp_path, "gateway", "engine-cpu", "engine-cuda", REGISTRY="registry.example.org/shoal/")
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "shoal" / "values.yaml").read_text())
    gateway, engine = (f"registry.example.org/shoal/{values[part]['image']['repository']}" for part in PARTS)
    names = [call[call.index("--tag") + 1] for call in calls]
    assert [call[call.index("--target") + 1] for call in calls] == ["gateway", "engine", "engine"]
    assert names == [f"{gateway}:{__version__}", f"{engine}:{__version__}-cpu", f"{engine}:{__version__}-cuda"]
    for call in calls:
        assert f"VERSION={__version__}" in call
    assert [[word for word in call if word.startswith("TORCH=")] for call in calls] == [
        [],
        ["TORCH=cpu"],
        ["TORCH=cuda"],
    ]


def test_a_build_is_told_where_things_are(tmp_path) -> None:
    [call] = build(
        tmp_path, "engine-cpu", BASE_IMAGE="base:1", WHEELHOUSE="/w", TORCH_INDEX="https://torch.example.org/cpu"
    )
    assert {"BASE_IMAGE=base:1", "wheelhouse=/w", "PIP_NO_INDEX=1", "TORCH_INDEX=https://torch.example.org/cpu"} <= {
        *call
    }
