"""Both Helms take every values file, and nothing that is not meant."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

POOL = {"accelerator": "cpu", "min": 0, "max": 1, "resources": {"requests": {"cpu": "1"}}, "cacheSize": "1Gi"}
GPU = {
    "accelerator": "l4", "min": 0, "max": 1, "cacheSize": "1Gi", "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "resources": {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}},
}  # fmt: skip


def test_lints_without_a_warning(helm, chart, cases, case) -> None:
    values, more = cases[case]
    done = helm.run("lint", "--strict", str(chart), values=values, more=more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_helm_3_and_4_render_the_same(helm_of, cases, case) -> None:
    values, more = cases[case]
    assert helm_of(3).text(values, more) == helm_of(4).text(values, more)


def test_every_values_file_is_a_case(chart, cases) -> None:
    assert {path.name for path in chart.glob("values*.yaml")} == {values for values, _ in cases.values()}


def test_the_example_pool_in_the_values_is_one(chart, render) -> None:
    lines = (chart / "values.yaml").read_text().splitlines()
    begin = lines.index("pools: {}") + 1
    end = next(number for number, line in enumerate(lines[begin:], begin) if not line.startswith("#"))
    example = yaml.safe_load("\n".join(line[1:] for line in lines[begin:end]))
    [deployment] = render(more={"pools": example}).of("Deployment", "engine")
    assert deployment["metadata"]["name"] == "shoal-engine-l4"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"replicas": 2}, "replicas"),
        ({"gateway": {"replica": 2}}, "replica"),
        ({"gateway": {"replicas": "2"}}, "gateway.*replicas.*integer"),
        ({"gateway": {"replicas": 0}}, "gateway.*replicas"),
        ({"gateway": {"env": {"SHOAL_WORKRES": "4"}}}, "SHOAL_WORKRES"),
        ({"gateway": {"env": {"SHOAL_DRAIN_DELAY": "4"}}}, "SHOAL_DRAIN_DELAY"),
        ({"gateway": {"env": {"SHOAL_DATABASE_URL": "postgresql://u:secret@h/d"}}}, "SHOAL_DATABASE_URL"),
        ({"engine": {"env": {"SHOAL_FILES": "s3://bucket"}}}, "SHOAL_FILES"),
        ({"engine": {"cache": {"kind": "tmpfs"}}}, "kind"),
        ({"engine": {"cache": {"kind": "claim"}}, "pools": {"a": POOL}}, "engine.cache.claim is missing"),
        ({"engine": {"cache": {"kind": "hostPath"}}, "pools": {"a": POOL}}, "engine.cache.path is missing"),
        ({"ingress": {"enabled": True}}, "ingress.host is missing"),
        ({"gateway": {"data": {"existingClaim": "data"}}}, "for one gateway alone"),
        ({"gateway": {"data": {"existingClaim": "data"}, "replicas": 1, "workers": 2}}, "for one gateway alone"),
        ({"pools": {"L4": POOL}}, "L4"),
        ({"pools": {"a-name-that-is-longer-than-20": POOL}}, "longer"),
        ({"pools": {"a": {**POOL, "minimum": 1}}}, "minimum"),
        ({"pools": {"a": {**POOL, "accelerator": "t4"}}}, "accelerator"),
        ({"pools": {"a": {**POOL, "env": {"SHOAL_DEVICE": "cpu"}}}}, "SHOAL_DEVICE"),
        ({"pools": {"a": {**GPU, "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}}}, "nvidia.com/gpu"),
        ({"pools": {"a": {**GPU, "accelerator": "cpu"}}}, "limits"),
        ({"pools": {"a": {key: value for key, value in GPU.items() if key != "tolerations"}}}, "tolerations"),
        ({"networkPolicy": {"ingressFrom": []}}, "ingressFrom"),
        ({"networkPolicy": {"database": {"cidrs": ["db.example.org"]}}}, "cidrs"),
        ({"autoscaling": {"prometheus": "prometheus:9090"}}, "prometheus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_values_that_are_not_meant_are_refused_by_name(helm, chart, more: dict[str, Any], said) -> None:
    done = helm.run("template", "shoal", str(chart), more=more)
    assert done.returncode != 0
    assert re.search(said, done.stderr)


def test_an_older_kubernetes_is_refused(helm, chart) -> None:
    done = helm.run("template", "shoal", str(chart), "--kube-version", "1.27")
    assert done.returncode != 0
    assert "1.28" in done.stderr


def test_the_chart_is_of_this_version_and_needs_no_other_chart(chart) -> None:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    project = tomllib.loads((chart.parents[2] / "pyproject.toml").read_text())["project"]
    assert about["version"] == about["appVersion"] == project["version"]
    assert "dependencies" not in about
    assert not (chart / "charts").exists()


def test_every_value_is_in_the_schema_and_explained_where_it_stands(chart) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())

    def compare(values: dict[str, Any], schema_here: dict[str, Any], where: str) -> None:
        if "$ref" in schema_here:
            schema_here = schema["definitions"][schema_here["$ref"].rpartition("/")[2]]
        known = schema_here.get("properties")
        if known is None:
            return
        assert schema_here["additionalProperties"] is False, where
        assert known.keys() - {"global"} == values.keys(), where
        for name, value in values.items():
            if isinstance(value, dict):
                compare(value, known[name], f"{where}.{name}")

    given = yaml.safe_load((chart / "values.yaml").read_text())
    for side in ("gateway", "engine"):
        given[side]["image"].setdefault("digest", "")
    compare(given, schema, "values")


def test_what_installing_prints_names_the_pools(helm_of, chart, cases) -> None:
    values, more = cases["aws"]
    words = ["install", "shoal", str(chart), "-n", "prod", "--dry-run=client"]
    done = helm_of(4).run(*words, values=values, more=more)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "Its pools: l4" in notes
    assert "kubectl -n prod exec deployment/shoal-gateway -- shoal model add BAAI/bge-m3 --pool l4\n" in notes


def test_the_folder_holds_no_leftovers(chart: Path) -> None:
    kept = {path.relative_to(chart).parts[0] for path in chart.rglob("*") if path.is_file()}
    assert kept == {
        ".helmignore", "Chart.yaml", "files", "templates",
        "values.yaml", "values.schema.json", "values-aws.yaml", "values-gke.yaml", "values-cpu.yaml",
    }  # fmt: skip
