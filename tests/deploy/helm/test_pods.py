"""What pods are told is what the program reads, and what they may do is nothing more than they need."""

import json
import re
from typing import Any

import pytest
import yaml

from shoal.cli import COMMANDS, load

TARGETS = {command.name: command.target for command in COMMANDS}


def options(command: str) -> set[str]:
    """The variables that a command reads."""
    return {parameter.envvar for parameter in load(TARGETS[command]).params if parameter.envvar}


def programs(objects: Any) -> list[dict[str, Any]]:
    """Every container that runs `shoal`."""
    specs = [pod["spec"] for pod in objects.pods.values()]
    containers = [one for spec in specs for one in (*spec.get("initContainers", ()), *spec["containers"])]
    return [one for one in containers if one["command"][0] == "shoal"]


def all_containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def test_every_variable_is_one_that_the_program_reads(objects) -> None:
    for container in programs(objects):
        [command] = container["command"][1:]
        known = options(command)
        for variable in container["env"]:
            if variable["name"].startswith("SHOAL_"):
                assert variable["name"] in known, (command, variable["name"])
        assert "args" not in container  # which commands that operators run in the pod would not see


def test_the_program_takes_what_it_is_told(objects, monkeypatch, tmp_path) -> None:
    secrets = {
        "SHOAL_DATABASE_URL": "postgresql://shoal:pw@db/shoal",
        "SHOAL_REDIS_URL": "rediss://:pw@redis:6378/0",
        "SHOAL_THREADS": "2",
    }
    for container in programs(objects):
        [command] = container["command"][1:]
        with monkeypatch.context() as environment:
            for variable in container["env"]:
                value = variable.get("value", secrets.get(variable["name"], "s" * 40))
                environment.setenv(variable["name"], value)
            context = load(TARGETS[command]).make_context(command, [])
        said = context.params
        if command == "gateway":
            assert (said["drain_delay"], said["metrics_key"]) == (15.0, "s" * 40)
        if command == "engine":
            assert said["engine_secret"] == "s" * 40


def test_the_schema_lets_through_just_what_the_chart_does_not_set_itself(chart, everything) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())["definitions"]
    set_here: dict[str, set[str]] = {}
    for container in programs(everything):
        [command] = container["command"][1:]
        set_here.setdefault(command, set()).update(each["name"] for each in container["env"])
    for command in ("gateway", "engine"):
        may_be_set = set(schema[f"{command}Variables"]["propertyNames"]["anyOf"][0]["enum"])
        files = {name for name in options(command) if re.search("TLS|ENGINE_(CA|CERT|KEY)", name)}
        own = {name for name in set_here[command] if name.startswith("SHOAL_")}
        own -= {"SHOAL_FILES", "SHOAL_MAX_CONNECTIONS", "SHOAL_IDLE_TIMEOUT", "SHOAL_EVICTION"}  # the case's own
        own -= {"SHOAL_PUBLIC_URL", "SHOAL_THREADS"}  # set by some values, and else the operator's
        assert may_be_set == options(command) - own - files


def test_what_an_operator_says_counts_where_the_chart_would_say_something(render) -> None:
    said = {"SHOAL_PUBLIC_URL": "https://console.example.org", "SHOAL_LOG_FORMAT": "text"}
    ingress = {"enabled": True, "host": "shoal.example.org"}
    of_gateway = {"env": said, "replicas": 1}
    more = {"gateway": of_gateway, "ingress": ingress, "engine": {"env": {"SHOAL_THREADS": "3"}}}
    for container in programs(render("values-cpu.yaml", more)):
        told = [(each["name"], each.get("value")) for each in container["env"]]
        if container["command"][1] == "gateway":
            assert {item for item in told if item[0] in said} == set(said.items())
        if container["command"][1] == "engine":
            assert [item for item in told if item[0] == "SHOAL_THREADS"] == [("SHOAL_THREADS", "3")]


def test_secrets_come_from_the_secret_and_only_where_they_are_used(objects) -> None:
    secret = {"SHOAL_DATABASE_URL", "SHOAL_REDIS_URL", "SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_SESSION_KEY",
              "SHOAL_SECRET_KEY", "SHOAL_OIDC_CLIENT_SECRET", "SHOAL_OTLP_HEADERS", "HF_TOKEN"}  # fmt: skip
    for container in programs(objects):
        by_name = {each["name"]: each for each in container["env"]}
        assert len(by_name) == len(container["env"])
        for name in secret & by_name.keys():
            reference = by_name[name]["valueFrom"]["secretKeyRef"]
            assert (reference["name"], reference["key"]) == ("shoal", name)
        if container["command"][1] == "engine":
            assert secret & by_name.keys() == {"SHOAL_ENGINE_SECRET", "SHOAL_OTLP_HEADERS", "HF_TOKEN"}
        if container["command"][1] == "migrate":
            assert secret & by_name.keys() == {"SHOAL_DATABASE_URL"}


def test_several_gateways_must_have_a_redis_and_one_may(render) -> None:
    def optional(**gateway: Any) -> bool:
        [deployment] = render(more={"gateway": gateway}).of("Deployment", "gateway")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        [found] = [each for each in container["env"] if each["name"] == "SHOAL_REDIS_URL"]
        return bool(found["valueFrom"]["secretKeyRef"].get("optional", False))

    assert optional(replicas=1)
    assert not optional(replicas=2)
    assert not optional(replicas=1, workers=2)
    assert not optional(replicas=1, autoscaling={"enabled": True})


def test_no_pod_has_a_right_that_it_does_not_need(objects) -> None:
    for pod in objects.pods.values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False  # a service called shoal would set SHOAL_PORT
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001}.items()
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in all_containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"].get("limits", {}) or "engine" in container["name"]
            assert "cpu" in container["resources"]["requests"]


def test_what_is_mounted_is_there_and_what_is_written_is_mounted(objects) -> None:
    for pod in objects.pods.values():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        used = set()
        for container in all_containers(pod):
            mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}
            used |= {mount["name"] for mount in mounts.values()}
            for variable in container.get("env", ()):
                if str(variable.get("value", "")).startswith("/"):  # a folder, or a file to read
                    assert any(variable["value"].startswith(path) for path in mounts), variable
        assert used == volumes


def test_it_has_time_to_stop(objects, case) -> None:
    for name, pod in objects.pods.items():
        [container] = pod["spec"]["containers"]
        if container["command"][0] != "shoal":
            continue
        said = {each["name"]: each.get("value") for each in container["env"]}
        inside = float(said["SHOAL_GRACE_PERIOD"]) + float(said.get("SHOAL_DRAIN_DELAY") or 0)
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["spec"]["terminationGracePeriodSeconds"] >= inside + before + 5, name


def test_the_times_to_stop_follow_the_values(on_aws) -> None:
    objects = on_aws({"gateway": {"drainDelay": 40, "gracePeriod": 300}, "engine": {"gracePeriod": 120}})
    seconds = {name: pod["spec"].get("terminationGracePeriodSeconds") for name, pod in objects.pods.items()}
    assert seconds == {"shoal-gateway": 350, "shoal-engine-l4": 130, "shoal-test": None}


def test_a_gateway_is_found_unready_before_it_closes(objects) -> None:
    for container in programs(objects):
        if container["command"][1] == "gateway":
            probe = container["readinessProbe"]
            [delay] = [each["value"] for each in container["env"] if each["name"] == "SHOAL_DRAIN_DELAY"]
            assert float(delay) > probe["periodSeconds"] * probe["failureThreshold"]


def test_probes_ask_for_what_the_program_answers_at_its_port(objects) -> None:
    for container in programs(objects):
        if container["command"][1] == "migrate":
            continue
        [port] = container["ports"]
        [said] = [each["value"] for each in container["env"] if each["name"] == "SHOAL_PORT"]
        assert port["containerPort"] == int(said)
        for probe, path in (("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")):
            assert container[probe]["httpGet"] == {"path": f"/health/{path}", "port": port["name"]}


def test_the_database_is_brought_up_before_the_gateway_starts(objects) -> None:
    [deployment] = objects.of("Deployment", "gateway")
    spec = deployment["spec"]["template"]["spec"]
    [migrate], [gateway] = spec["initContainers"], spec["containers"]
    assert migrate["command"] == ["shoal", "migrate"]
    assert migrate["image"] == gateway["image"]
    of_both = {"SHOAL_DATABASE_URL", "SHOAL_DATA_DIR"}
    assert [e for e in migrate["env"] if e["name"] in of_both] == [e for e in gateway["env"] if e["name"] in of_both]


def test_service_accounts_are_those_that_are_made(objects, case) -> None:
    made = {each["metadata"]["name"] for each in objects.of("ServiceAccount")}
    used = {pod["spec"]["serviceAccountName"] for pod in objects.pods.values() if "serviceAccountName" in pod["spec"]}
    assert used <= {"shoal-gateway", "shoal-engine"}
    assert made == ({"shoal-gateway"} if case == "bare" else {"shoal-gateway", "shoal-engine"})
    for each in objects.of("ServiceAccount"):
        assert each["automountServiceAccountToken"] is False


def test_names_fit_whatever_the_release_and_pools_are_called(helm_of, chart, cases) -> None:

    _, more = cases["everything"]
    longest = {**more, "pools": {"p" * 20: more["pools"]["warm"]}}
    done = helm_of(4).run("template", "r" * 53, str(chart), more=longest)
    names = [each["metadata"]["name"] for each in yaml.load_all(done.stdout, yaml.CSafeLoader)]
    assert max(map(len, names)) <= 63
    assert len(names) == len(
        {(each["kind"], each["metadata"]["name"]) for each in yaml.load_all(done.stdout, yaml.CSafeLoader)}
    )


@pytest.mark.parametrize(
    ("kind", "volume"),
    [
        ({"kind": "emptyDir"}, {"emptyDir": {"sizeLimit": "120Gi"}}),
        ({"kind": "claim", "claim": "models"}, {"persistentVolumeClaim": {"claimName": "models"}}),
        ({"kind": "hostPath", "path": "/mnt/x"}, {"hostPath": {"path": "/mnt/x", "type": "Directory"}}),
        (
            {"kind": "ephemeral", "storageClass": "fast"},
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "storageClassName": "fast",
                            "resources": {"requests": {"storage": "120Gi"}},
                        }
                    }
                }
            },
        ),
    ],
    ids=["emptyDir", "claim", "hostPath", "ephemeral"],
)
def test_models_lie_where_the_values_say(on_aws, kind, volume) -> None:
    pod = on_aws({"engine": {"cache": kind}}).pods["shoal-engine-l4"]
    [cache] = [each for each in pod["spec"]["volumes"] if each["name"] == "cache"]
    assert cache == {"name": "cache", **volume}
