"""compose.yaml says what the chart says, of the same images, and no variable that nobody reads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import stages, variables

from shoal import __version__
from shoal.cli import COMMANDS, load

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
TARGETS = {command.name: command.target for command in COMMANDS}
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_SESSION_KEY",
           "SHOAL_SECRET_KEY"}  # fmt: skip


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return read


@pytest.fixture(scope="module")
def ours(services) -> dict[str, dict[str, Any]]:
    """Those that run `shoal`."""
    return {name: service for name, service in services.items() if service["image"].startswith("shoal-")}


def test_every_variable_is_one_that_the_program_takes(ours, monkeypatch) -> None:
    for name, service in ours.items():
        [command] = service["command"]
        program = load(TARGETS[command])
        known = {parameter.envvar for parameter in program.params}
        said = {key: value for key, value in service["environment"].items() if key.startswith("SHOAL_")}
        assert said.keys() <= known, name
        with monkeypatch.context() as environment:
            for key, value in said.items():
                environment.setenv(key, re.sub(r"\$\{(\w+)[^}]*\}", "s" * 40, value))
            program.make_context(command, [])


def test_images_are_of_this_version_and_called_as_the_chart_calls_them(ours) -> None:
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "shoal" / "values.yaml").read_text())
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "shoal" / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    gateway, engine = (values[part]["image"]["repository"] for part in ("gateway", "engine"))
    assert {name: service["image"] for name, service in ours.items()} == {
        "migrate": f"{gateway}:{__version__}",
        "gateway": f"{gateway}:{__version__}",
        "engine": f"{engine}:{__version__}-cpu",
    }
    assert set(re.findall(rf"{engine}:(\S+?)`", FILE.read_text())) == {f"{__version__}-cuda"}  # the comment's


def test_secrets_are_asked_for_and_none_has_a_default(services) -> None:
    text = FILE.read_text()
    uses = dict(re.findall(r"\$\{(\w+)(:.)", text))
    assert {name for name, kind in uses.items() if kind == ":?"} == SECRETS
    assert uses.keys() - SECRETS == {"LISTEN", "HF_TOKEN"}
    assert len(re.findall(r"\$\{", text)) == len(re.findall(r"\$\{\w+:[?-]", text))
    of_gateway = services["gateway"]["environment"]
    assert services["engine"]["environment"]["SHOAL_ENGINE_SECRET"] == of_gateway["SHOAL_ENGINE_SECRET"]


def test_what_is_written_is_mounted_and_the_rest_is_read_only(services, ours) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("user", "") != "root"
        assert "privileged" not in service
    for name, service in ours.items():
        mounts = [*service["tmpfs"], *(volume.partition(":")[2] for volume in service.get("volumes", ()))]
        assert "/tmp" in mounts
        image, folder = ("engine", "XDG_CACHE_HOME") if name == "engine" else ("gateway", "SHOAL_DATA_DIR")
        assert name == "migrate" or variables(image)[folder] in mounts


def test_whoever_is_waited_for_says_when_it_is_well(services, ours) -> None:
    for service in services.values():
        for name, waiting in service.get("depends_on", {}).items():
            if waiting["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"] or name in ours
            else:
                assert services[name]["restart"] == "no"
    assert services["gateway"]["depends_on"].keys() == {"migrate", "redis"}
    for name in ("gateway", "engine"):
        assert "healthcheck" not in services[name], "the image's own counts"
    assert "\nHEALTHCHECK " in stages()["runtime"]


def test_they_have_time_to_stop(ours) -> None:
    for name in ("gateway", "engine"):
        assert (
            int(ours[name]["stop_grace_period"].rstrip("s"))
            >= float(ours[name]["environment"]["SHOAL_GRACE_PERIOD"]) + 5
        )


def test_parts_reach_whom_they_must_and_nobody_else(services) -> None:
    joined = {name: set(service["networks"]) for name, service in services.items()}
    assert joined["engine"] & joined["gateway"] == {"engines"}
    assert not joined["engine"] & (joined["postgres"] | joined["redis"])
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    assert services["gateway"]["ports"] == ["${LISTEN:-127.0.0.1:8080}:8080"]
    nodes = services["gateway"]["environment"]["SHOAL_NODES"]
    assert nodes == f"default=dns+http://engine:{services['engine']['environment']['SHOAL_PORT']}"
