"""The AWS module as it is shipped is made and destroyed by the real provider, in a cloud on loopback."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.config import Config

from shoal.options.values import checked_files, checked_redis_url

STAND_IN = Path(__file__).with_name("stand_in_aws.py")
REGION = "eu-central-1"
ADMINISTRATOR = "arn:aws:iam::123456789012:role/operators/admin"
SERVICES = [
    "autoscaling",
    "cloudwatchlogs",
    "ec2",
    "eks",
    "elasticache",
    "iam",
    "kms",
    "rds",
    "s3",
    "secretsmanager",
    "sts",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(570)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("cloud") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, STAND_IN, str(port)], stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def client(cloud):
    def of(service: str):
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=cloud,
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
            config=Config(s3={"addressing_style": "path"}),
        )

    return of


@pytest.fixture(scope="module")
def terraform(cloud, aws_mirror, terraform_in):
    """The example `dev-l4-spot`, with one file beside it that says where the cloud is, and names an administrator."""
    found = terraform_in("aws/examples/dev-l4-spot")
    endpoints = "".join(f'    {service} = "{cloud}"\n' for service in SERVICES)
    (found.folder / "loopback_override.tf").write_text(
        'provider "aws" {\n  access_key = "nobody"\n  secret_key = "nothing"\n  max_retries = 2\n'
        "  skip_credentials_validation = true\n  skip_metadata_api_check = true\n  s3_use_path_style = true\n"
        f"  endpoints {{\n{endpoints}  }}\n}}\n"
        f'module "shoal" {{\n  admin_principal_arns = ["{ADMINISTRATOR}"]\n}}\n'
    )
    return type(found)(found.program, found.folder, found.mirror, {"operator_cidrs": ["198.51.100.7/32"]})


@pytest.fixture(scope="module")
def applied(terraform):
    terraform.do("apply", "-auto-approve", "-parallelism=30", timeout=400)
    return json.loads(terraform.do("output", "-json"))


def test_gpu_nodes_rest_at_zero(applied, client) -> None:
    groups = client("eks").list_nodegroups(clusterName="shoal-dev")["nodegroups"]
    assert sorted(groups) == ["l4", "system"]
    pool = client("eks").describe_nodegroup(clusterName="shoal-dev", nodegroupName="l4")["nodegroup"]
    assert pool["scalingConfig"] == {"minSize": 0, "maxSize": 2, "desiredSize": 0}
    assert pool["capacityType"] == "SPOT"
    assert pool["instanceTypes"] == ["g6.2xlarge"]


def test_the_scaling_group_says_what_a_node_would_be_like(applied, client) -> None:
    pool = client("eks").describe_nodegroup(clusterName="shoal-dev", nodegroupName="l4")["nodegroup"]
    [group] = pool["resources"]["autoScalingGroups"]
    [found] = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group["name"]])[
        "AutoScalingGroups"
    ]
    start = "k8s.io/cluster-autoscaler/node-template/"
    tags = {tag["Key"].removeprefix(start): tag["Value"] for tag in found["Tags"] if tag["Key"].startswith(start)}
    assert tags == {
        **{f"label/{name}": value for name, value in pool["labels"].items()},
        "taint/nvidia.com/gpu": "present:NoSchedule",
        "resources/nvidia.com/gpu": "1",
        "resources/ephemeral-storage": "200Gi",
    }
    assert pool["labels"]["shoal/pool"] == "l4"
    assert [(taint["key"], taint["value"], taint["effect"]) for taint in pool["taints"]] == [
        ("nvidia.com/gpu", "present", "NO_SCHEDULE")
    ]


def test_stores_let_nodes_in_and_nobody_else(applied, client) -> None:
    cluster = client("eks").describe_cluster(name="shoal-dev")["cluster"]["resourcesVpcConfig"]
    for group in client("ec2").describe_security_groups()["SecurityGroups"]:
        if group["GroupName"] in {"shoal-dev-database", "shoal-dev-redis"}:
            [rule] = group["IpPermissions"]
            assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [cluster["clusterSecurityGroupId"]]
            assert rule["IpRanges"] == []
            assert (
                rule["FromPort"]
                == rule["ToPort"]
                == {"shoal-dev-database": 5432, "shoal-dev-redis": 6379}[group["GroupName"]]
            )


def test_the_api_answers_to_the_operators_alone(applied, client) -> None:
    access = client("eks").describe_cluster(name="shoal-dev")["cluster"]["resourcesVpcConfig"]
    assert access["publicAccessCidrs"] == ["198.51.100.7/32"]
    assert access["endpointPrivateAccess"] is True


def test_the_administrator_administrates(applied, client) -> None:
    words = {"clusterName": "shoal-dev", "principalArn": ADMINISTRATOR}
    assert client("eks").describe_access_entry(**words)["accessEntry"]["principalArn"] == ADMINISTRATOR
    [policy] = client("eks").list_associated_access_policies(**words)["associatedAccessPolicies"]
    assert policy["policyArn"].endswith("/AmazonEKSClusterAdminPolicy")


def test_roles_may_do_what_they_need_and_no_more(applied, client) -> None:
    iam = client("iam")
    statements = {}
    for role in iam.list_roles()["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            statements[role["RoleName"]] = document["Statement"]
    assert statements.keys() == {
        "shoal-dev-gateway",
        "shoal-dev-cluster-autoscaler",
        "shoal-dev-s3-csi",
        "shoal-dev-flow-logs",
    }
    for role, granted in statements.items():
        for statement in granted:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert not any("*" in action for action in actions), role
            if statement["Resource"] == "*":  # to look around, or what a condition narrows
                looks = all(action.split(":")[1].startswith(("Describe", "Get")) for action in actions)
                assert looks or "aws:ResourceTag/k8s.io/cluster-autoscaler/shoal-dev" in json.dumps(statement), role
    bound = client("eks").list_pod_identity_associations(clusterName="shoal-dev")["associations"]
    assert ("shoal", "shoal-gateway") in {(one["namespace"], one["serviceAccount"]) for one in bound}
    assert "shoal-engine" not in {one["serviceAccount"] for one in bound}


def test_buckets_are_closed_and_encrypted(applied, client) -> None:
    s3 = client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert len(buckets) == 2
    for bucket in buckets:
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        [statement] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_secret_is_what_the_program_reads(applied, client) -> None:
    kept = json.loads(client("secretsmanager").get_secret_value(SecretId="shoal-dev/environment")["SecretString"])
    objects = {one["kind"]: one for one in yaml.safe_load_all(applied["kubernetes_objects"]["value"])}
    assert objects["Secret"]["stringData"] == kept
    assert objects["Secret"]["metadata"] == {"name": "shoal", "namespace": "shoal"}
    assert objects["PersistentVolumeClaim"]["spec"]["volumeName"] == objects["PersistentVolume"]["metadata"]["name"]
    [database] = client("rds").describe_db_instances()["DBInstances"]
    assert f"@{database['Endpoint']['Address']}:5432/shoal?sslmode=require" in kept["SHOAL_DATABASE_URL"]
    assert kept["SHOAL_REDIS_URL"].startswith("rediss://:")
    checked_redis_url(kept["SHOAL_REDIS_URL"])


def test_no_secret_is_said_in_the_open(applied, terraform, client) -> None:
    kept = json.loads(client("secretsmanager").get_secret_value(SecretId="shoal-dev/environment")["SecretString"])
    secrets = [kept[name] for name in kept if name.endswith(("_KEY", "_SECRET"))]
    secrets.append(kept["SHOAL_DATABASE_URL"].split(":")[2].split("@")[0])
    shown = terraform.do("show") + terraform.do("plan", "-destroy", "-refresh=false") + applied["helm_values"]["value"]
    assert not [secret for secret in secrets if secret in shown]


def test_the_values_are_the_charts(applied) -> None:
    values = yaml.safe_load(applied["helm_values"]["value"])
    checked_files(values["gateway"]["env"]["SHOAL_FILES"])
    assert values["pools"].keys() == {"l4"}


FORGOTTEN = {
    "aws_launch_template": {"tag_specifications", "latest_version", "default_version"},
    "aws_eks_node_group": {"launch_template"},
    "aws_vpc_security_group_ingress_rule": {"description"},
}
"""What moto answers otherwise than it was told, by the kind of resource: a launch template's own tags come back as tags
of what it starts, which gives it a new version, which node groups follow; rules about groups lose their description."""


def changed(change: dict) -> set[str]:
    """Names of arguments that would change."""
    before, after, unknown = change["before"], change["after"], change["after_unknown"]
    return {
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) or "true" in json.dumps(unknown.get(name))
    }


def test_a_second_look_changes_nothing(applied, terraform) -> None:
    terraform.do("plan", "-out=second")
    plan = json.loads(terraform.run("show", "-json", "second").stdout)
    found: dict[str, set[str]] = {}
    for resource in plan["resource_changes"]:
        if resource["change"]["actions"] not in (["no-op"], ["read"]):
            assert resource["change"]["actions"] == ["update"], resource["address"]
            found.setdefault(resource["type"], set()).update(changed(resource["change"]))
    assert found == FORGOTTEN


def test_everything_is_destroyed(applied, terraform, client) -> None:
    """The last test of the file."""
    terraform.do("destroy", "-auto-approve", "-refresh=false", "-parallelism=30", timeout=400)
    assert json.loads(terraform.do("show", "-json")).get("values") is None
    assert client("eks").list_clusters()["clusters"] == []
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("rds").describe_db_instances()["DBInstances"] == []
    assert client("elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert client("secretsmanager").list_secrets()["SecretList"] == []
    assert [vpc for vpc in client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
