"""Kubernetes 1.28 to 1.35, KEDA and the Prometheus operator know every object, and every field of it."""

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

VERSIONS = [f"1.{minor}" for minor in range(28, 36)]
KEDA = "keda.sh"
MONITORING = "monitoring.coreos.com"


def strict(schema: Any) -> Any:
    """The same, refusing what it does not name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    named = isinstance(schema.get("properties"), dict)
    if named and not {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & schema.keys():
        made["additionalProperties"] = False
    return made


def group(each: dict[str, Any]) -> str:
    return str(each["apiVersion"]).partition("/")[0]


@pytest.fixture(scope="session")
def keda(shared: Path) -> dict[str, Any]:
    [version] = yaml.safe_load((shared / "crds" / "keda.sh_scaledobjects.yaml").read_text())["spec"]["versions"]
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return dict(schema)


@pytest.fixture(scope="session")
def monitoring() -> dict[str, Any]:
    return dict(yaml.safe_load((Path(__file__).parent / "monitoring.yaml").read_text()))


def check_monitoring(monitoring: dict[str, Any], each: dict[str, Any]) -> None:
    schema = {"definitions": monitoring["definitions"], **monitoring[each["kind"]]}
    jsonschema.Draft7Validator(schema).validate(each)


@pytest.fixture(scope="module")
def _read_once() -> Iterator[None]:
    """Without it every look at an object reads the version's definitions anew, 1 MB of JSON."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.fixture(scope="module")
def own_kinds(cases, render) -> list[dict[str, Any]]:
    """All objects of Kubernetes itself, once where several cases have the same."""
    every = [each for case in cases.values() for each in render(*case) if group(each) not in {KEDA, MONITORING}]
    return list({json.dumps(each, sort_keys=True): each for each in every}.values())


@pytest.mark.usefixtures("_read_once")
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(own_kinds, version) -> None:
    assert {each["kind"] for each in own_kinds} == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy",
        "Pod", "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip
    for each in own_kinds:
        kubernetes_validate.validate(each, version, strict=True)  # raises for a kind without a schema too


def test_keda_knows_every_field(objects, keda, case) -> None:
    scaled = [each for each in objects if group(each) == KEDA]
    assert bool(scaled) == (case not in {"cpu", "bare", "default"})
    for each in scaled:
        jsonschema.Draft7Validator(keda).validate(each)


def test_the_prometheus_operator_knows_every_field(objects, monitoring, case) -> None:
    found = [each for each in objects if group(each) == MONITORING]
    assert bool(found) == (case not in {"cpu", "bare"})
    for each in found:
        check_monitoring(monitoring, each)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ScaledObject", ["spec", "minReplicas"], 0),
        ("ScaledObject", ["spec", "minReplicaCount"], "0"),
        ("ScaledObject", ["spec", "triggers", 0, "metadata", "threshold"], 16),
        ("ScaledObject", ["spec", "triggers", 0, "metricsType"], "Value"),
        ("PodMonitor", ["spec", "podMetricsEndpoints", 0, "portName"], "http"),
        ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "expression"], "up"),
        ("Deployment", ["spec", "template", "spec", "containers", 0, "ressources"], {}),
        ("NetworkPolicy", ["spec", "policyType"], ["Ingress"]),
        ("PodDisruptionBudget", ["spec", "minAvailable"], True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_these_checks_find_what_is_wrong(everything, keda, monitoring, kind, path, value) -> None:
    each = copy.deepcopy(everything.of(kind)[0])
    place = each
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    checks = {
        "ScaledObject": jsonschema.Draft7Validator(keda).validate,
        "PodMonitor": lambda each: check_monitoring(monitoring, each),
        "PrometheusRule": lambda each: check_monitoring(monitoring, each),
    }
    check = checks.get(kind, lambda each: kubernetes_validate.validate(each, "1.33", strict=True))
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(each)
