"""Alerts: good rules, each with a test and a runbook, and about this release alone."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
SELECTED = re.compile(r"\b(shoal_(?:gateway|engine)_\w+|up)\b(\{[^}]*\})?")


@pytest.fixture(scope="session")
def groups(chart: Path) -> list[dict[str, Any]]:
    files = sorted((chart / "files" / "rules").glob("*.yaml"))
    return [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]


@pytest.fixture(scope="session")
def alerts(groups) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_prometheus_takes_the_rules_as_they_lie_and_as_they_are_rendered(chart, promtool, on_aws, tmp_path) -> None:
    [rendered] = on_aws(namespace="prod").of("PrometheusRule")
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump(rendered["spec"]))
    files = [*sorted((chart / "files" / "rules").glob("*.yaml")), path]
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(files)


def test_every_alert_fires_when_it_should_and_only_then(promtool) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", HERE / "alerts.test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_a_test(alerts) -> None:
    tested = set(re.findall(r'alertname(?:="|: )(\w+)', (HERE / "alerts.test.yaml").read_text()))
    assert tested == alerts.keys()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert(chart, alerts) -> None:
    text = (chart.parents[1] / "docs" / "runbooks.md").read_text()
    sections = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert sorted(sections) == sorted(alerts)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"deploy/docs/runbooks.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    for link in re.findall(r"\]\(#(\w+)\)", text):
        assert link in {section.lower() for section in sections}


def test_what_the_operator_gets_is_what_the_files_say(on_aws, groups) -> None:
    [rendered] = on_aws().of("PrometheusRule")
    assert rendered["spec"]["groups"] == groups


def test_rules_are_about_the_namespace_of_the_release(on_aws, groups) -> None:
    for rule in (rule for group in groups for rule in group["rules"]):
        selected = SELECTED.findall(rule["expr"])
        assert selected
        assert all('namespace="shoal"' in labels for _, labels in selected), rule["expr"]
    said = {"monitoring": {"runbooks": "https://example.org/runbooks"}}
    [elsewhere] = on_aws(said, namespace="prod").of("PrometheusRule")
    there = [rule for group in elsewhere["spec"]["groups"] for rule in group["rules"]]
    here = [rule for group in groups for rule in group["rules"]]
    assert len(there) == len(here)
    for one, other in zip(there, here, strict=True):
        assert one["expr"] == other["expr"].replace('namespace="shoal"', 'namespace="prod"')
        assert one["annotations"]["runbook_url"] == f"https://example.org/runbooks#{one['alert'].lower()}"


def test_without_pools_nobody_is_told_that_their_demand_is_unknown(render) -> None:
    [rendered] = render().of("PrometheusRule")
    assert [group["name"] for group in rendered["spec"]["groups"]] == ["shoal.gateway"]
