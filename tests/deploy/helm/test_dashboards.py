"""Dashboards: what Grafana imports, with every panel in its place and every variable known."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def dashboards(chart: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (chart / "files" / "dashboards").glob("*.json")}


def test_there_is_one_for_each_view(dashboards) -> None:
    assert dashboards.keys() == {"gateway", "pools", "tenants", "engines"}
    assert {each["uid"] for each in dashboards.values()} == {f"shoal-{name}" for name in dashboards}


def test_each_is_a_config_map_that_grafana_finds(everything, dashboards) -> None:
    maps = {
        each["metadata"]["name"]: each for each in everything.of("ConfigMap") if "dashboard" in each["metadata"]["name"]
    }
    assert maps.keys() == {f"shoal-dashboard-{name}" for name in dashboards}
    for name, dashboard in dashboards.items():
        found = maps[f"shoal-dashboard-{name}"]
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["annotations"] == {"folder": "Shoal"}
        [(_, text)] = found["data"].items()
        assert json.loads(text) == dashboard


def test_panels_have_a_place_of_their_own_and_say_what_they_show(dashboards) -> None:
    for dashboard in dashboards.values():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert len({panel["title"] for panel in panels}) == len(panels)
        for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
            apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        for panel in panels:
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
            assert panel["targets"]
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_variable_is_known_and_every_known_one_is_used(dashboards) -> None:
    for dashboard in dashboards.values():
        known = {variable["name"] for variable in dashboard["templating"]["list"]}
        said = json.dumps(dashboard["panels"]) + json.dumps(dashboard["templating"])
        used = set(re.findall(r"\$\{?(\w+)", said))
        assert used - {"__rate_interval", "__timeFrom", "__timeTo", "__all"} == known


def test_every_expression_is_about_the_namespace_that_was_chosen(dashboards) -> None:
    for dashboard in dashboards.values():
        for target in (target for panel in dashboard["panels"] for target in panel["targets"]):
            for selector in re.findall(r"shoal_\w+(\{[^}]*\})?", target.get("expr", "")):
                assert 'namespace="$namespace"' in selector, target["expr"]
