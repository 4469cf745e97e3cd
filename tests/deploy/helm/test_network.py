"""No pod is reached, or reaches anything, but where a policy says so; policies are read as Kubernetes reads them."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

Labels = dict[str, str]
PORTS = {"gateway": 8080, "engine": 9000}
INGRESS = {"kubernetes.io/metadata.name": "ingress-nginx"}
MONITORING = {"kubernetes.io/metadata.name": "monitoring"}
SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
HERE = {"kubernetes.io/metadata.name": "shoal"}


def pod(component: str, **more: str) -> Labels:
    named = {"app.kubernetes.io/name": "shoal", "app.kubernetes.io/instance": "shoal"}
    return {**named, "app.kubernetes.io/component": component, **more}


def chosen(selector: Labels | None, labels: Labels) -> bool:
    return selector is None or labels.items() >= selector.get("matchLabels", {}).items()  # type: ignore[attr-defined]


def is_peer(peer: dict[str, Any], namespace: Labels, labels: Labels, address: str | None) -> bool:
    if block := peer.get("ipBlock"):
        excepted = any(ip_address(address) in ip_network(each) for each in block.get("except", ())) if address else True
        return address is not None and ip_address(address) in ip_network(block["cidr"]) and not excepted
    if address is not None:
        return False
    if "namespaceSelector" not in peer:
        return namespace == HERE and chosen(peer["podSelector"], labels)
    return chosen(peer["namespaceSelector"], namespace) and chosen(peer.get("podSelector"), labels)


class Cluster:
    """Who may call whom, by the rendered policies."""

    def __init__(self, objects: Any) -> None:
        self.policies = [each["spec"] for each in objects.of("NetworkPolicy")]

    def allowed(
        self,
        way: str,
        of: Labels,
        namespace: Labels,
        labels: Labels,
        port: int,
        protocol: str = "TCP",
        address: str | None = None,
    ) -> bool:
        """Whether the policies of a pod let this in (`way` is ingress) or out (egress)."""
        applying = [
            each
            for each in self.policies
            if chosen(each["podSelector"], of) and way.capitalize() in each["policyTypes"]
        ]
        if not applying:
            return True
        names = {
            "http": PORTS.get(
                of["app.kubernetes.io/component"] if way == "ingress" else labels.get("app.kubernetes.io/component", "")
            )
        }
        return any(
            any(is_peer(peer, namespace, labels, address) for peer in rule["from" if way == "ingress" else "to"])
            and any(
                (names.get(each["port"], each["port"]), each.get("protocol", "TCP")) == (port, protocol)
                for each in rule["ports"]
            )
            for policy in applying
            for rule in policy.get(way) or ()
        )

    def within(self, caller: Labels, callee: Labels, port: int) -> bool:
        """Whether one pod of the release reaches another: both sides must allow it."""
        return self.allowed("egress", caller, HERE, callee, port) and self.allowed(
            "ingress", callee, HERE, caller, port
        )

    def out(self, caller: Labels, address: str, port: int) -> bool:
        return self.allowed("egress", caller, {}, {}, port, address=address)


@pytest.fixture
def cluster(render) -> Cluster:
    return Cluster(
        render(
            more={
                "pools": {
                    "a": {
                        "accelerator": "cpu",
                        "min": 0,
                        "max": 1,
                        "resources": {"requests": {"cpu": "1"}},
                        "cacheSize": "1Gi",
                    }
                }
            }
        )
    )


GATEWAY, ENGINE, TEST = pod("gateway"), pod("engine", **{"shoal/pool": "a"}), pod("test")


def test_inside_the_release_only_gateways_call_engines_and_the_test_the_gateway(cluster) -> None:
    ways = {(a["app.kubernetes.io/component"], b["app.kubernetes.io/component"])
            for a in (GATEWAY, ENGINE, TEST) for b in (GATEWAY, ENGINE, TEST)
            if any(cluster.within(a, b, port) for port in (8080, 9000, 22))}  # fmt: skip
    assert ways == {("gateway", "engine"), ("test", "gateway")}
    assert cluster.within(GATEWAY, ENGINE, 9000)
    assert not cluster.within(GATEWAY, ENGINE, 22)


def test_from_outside_only_the_ingress_and_prometheus_come_in(cluster) -> None:
    def into(callee: Labels, namespace: Labels, port: int) -> bool:
        return cluster.allowed("ingress", callee, namespace, {}, port)

    assert into(GATEWAY, INGRESS, 8080)
    assert into(GATEWAY, MONITORING, 8080)
    assert into(ENGINE, MONITORING, 9000)
    assert not into(ENGINE, INGRESS, 9000)
    for callee, port in ((GATEWAY, 8080), (ENGINE, 9000), (TEST, 8080)):
        assert not into(callee, {"kubernetes.io/metadata.name": "default"}, port)
        assert not into(callee, HERE, port)
        assert not cluster.allowed("ingress", callee, {}, {}, port, address="10.1.2.3")


def test_gateways_reach_the_database_redis_and_dns_and_nothing_else(cluster) -> None:
    assert cluster.out(GATEWAY, "10.1.2.3", 5432)
    assert cluster.out(GATEWAY, "10.1.2.3", 6379)
    dns = {"k8s-app": "kube-dns"}
    for caller in (GATEWAY, ENGINE, TEST):
        assert cluster.allowed("egress", caller, SYSTEM, dns, 53, "UDP")
        assert cluster.allowed("egress", caller, SYSTEM, dns, 53)
        assert not cluster.allowed("egress", caller, SYSTEM, {"k8s-app": "other"}, 53, "UDP")
    for address, port in (
        ("10.1.2.3", 443),
        ("10.1.2.3", 22),
        ("8.8.8.8", 443),
        ("8.8.8.8", 5432),
        ("169.254.169.254", 80),
    ):
        assert not cluster.out(GATEWAY, address, port)
    assert not cluster.out(TEST, "10.1.2.3", 5432)


def test_engines_reach_a_public_hub_and_nothing_of_the_own_network(cluster) -> None:
    assert cluster.out(ENGINE, "8.8.8.8", 443)
    for address, port in (
        ("8.8.8.8", 80),
        ("10.1.2.3", 443),
        ("10.1.2.3", 5432),
        ("169.254.169.254", 443),
        ("192.168.0.1", 443),
    ):
        assert not cluster.out(ENGINE, address, port)


def test_the_hub_can_be_left_out(on_aws, cases) -> None:
    closed = Cluster(on_aws({"networkPolicy": {"internet": {"engine": False, "gateway": False}}}))
    assert not closed.out(ENGINE, "8.8.8.8", 443)
    assert not closed.out(GATEWAY, "8.8.8.8", 443)
    assert closed.out(ENGINE, "169.254.170.23", 80)  # what says who it is


def test_every_pod_of_the_release_has_a_policy_for_both_ways(objects, case) -> None:
    if case == "bare":
        assert not objects.of("NetworkPolicy")
        return
    [deny] = [each["spec"] for each in objects.of("NetworkPolicy") if each["metadata"]["name"] == "shoal-deny"]
    assert sorted(deny["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & deny.keys()
    for template in objects.pods.values():
        assert chosen(deny["podSelector"], template["metadata"]["labels"])
