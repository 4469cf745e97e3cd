"""moto's server, with what the AWS module needs and moto lacks: python stand_in_aws.py PORT.

Each gap is named, with the reason why it matters and a way to see that moto still has it: when moto learns one, the
server refuses to start, so that the piece here is taken out. Nothing of the module is left out or changed for moto.
"""

import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # so that roles can only have policies that AWS has

from moto.autoscaling.models import autoscaling_backends
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.models import ec2_backends
from moto.eks import urls as eks_urls
from moto.eks.exceptions import ResourceNotFoundException
from moto.eks.models import EKSBackend
from moto.eks.responses import EKSResponse
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse
from moto.rds.responses import RDSResponse
from moto.server import main

GAPS: dict[str, tuple[str, Callable[[], bool], Callable[[], None]]] = {}


def lacking(name: str, reason: str, still: Callable[[], bool]) -> Callable[[Callable[[], None]], None]:
    """Registers what fills a gap, while `still` says that there is one."""

    def register(fill: Callable[[], None]) -> None:
        GAPS[name] = reason, still, fill

    return register


def not_found(what: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(message=f"No {what}.")


@dataclass(frozen=True)
class Kind:
    """A kind of things in a cluster that are created, described, listed and deleted, kept as they were asked for."""

    verb: str
    path: str
    key: str
    answer: str
    named: bool
    """Whether who creates one names it, too."""

    def register(self) -> None:
        """Teach moto the paths and the actions."""
        base = "{0}/clusters/(?P<name>[^/]+)/" + self.path
        eks_urls.url_paths |= dict.fromkeys((f"{base}$", f"{base}/(?P<{self.key}>.+)$"), eks_urls.response.dispatch)
        for action in ("create", "describe", "delete"):
            setattr(EKSResponse, f"{action}_{self.verb}", self.bound(action))
        setattr(EKSResponse, f"list_{self.verb}s", self.bound("listed"))

    def bound(self, action: str) -> Callable[[EKSResponse], ActionResult]:
        return lambda response: ActionResult(getattr(self, action)(response))

    def things(self, response: EKSResponse) -> dict:
        return vars(response.eks_backend).setdefault(f"own_{self.verb}", {})

    def place(self, response: EKSResponse) -> tuple[str, str]:
        return response.params["clusterName"], response.params[self.key]

    def create(self, response: EKSResponse) -> dict:
        cluster = response.params["clusterName"]
        if cluster not in response.eks_backend.clusters:
            raise not_found(f"cluster {cluster}")
        return {self.answer: self.keep(response, dict(response.params))}

    def keep(self, response: EKSResponse, thing: dict) -> dict:
        cluster = thing["clusterName"]
        name = thing[self.key] if self.named else f"a-{uuid.uuid4().hex[:16]}"
        arn = f"arn:aws:eks:{response.region}:{response.current_account}:{self.answer.lower()}/{cluster}/{name}"
        thing |= {self.key: name, f"{self.answer}Arn": arn, "associationArn": arn, "status": "ACTIVE"}
        if self.verb == "addon":
            wanted = [one | {"clusterName": cluster} for one in thing.get("podIdentityAssociations") or []]
            bound = [ASSOCIATIONS.keep(response, {"namespace": "kube-system"} | one) for one in wanted]
            thing |= {"addonVersion": "v1.0.0", "podIdentityAssociations": [one["associationArn"] for one in bound]}
        self.things(response)[cluster, name] = thing
        return thing

    def describe(self, response: EKSResponse) -> dict:
        if self.place(response) not in self.things(response):
            raise not_found(f"{self.verb} {self.place(response)}")
        return {self.answer: self.things(response)[self.place(response)]}

    def delete(self, response: EKSResponse) -> dict:
        found = self.describe(response)
        del self.things(response)[self.place(response)]
        return found

    def listed(self, response: EKSResponse) -> dict:
        return {f"{self.answer}s": list(self.things(response).values())}


ADDONS = Kind("addon", "addons", "addonName", "addon", named=True)
ASSOCIATIONS = Kind(
    "pod_identity_association", "pod-identity-associations", "associationId", "association", named=False
)
ENTRIES = Kind("access_entry", "access-entries", "principalArn", "accessEntry", named=True)


@lacking("EKS add-ons", "the network, DNS, disks and identities of pods are add-ons", lambda: no("create_addon"))
def add_ons() -> None:
    ADDONS.register()


@lacking("EKS Pod Identity", "what pods may do is bound to them so", lambda: no("create_pod_identity_association"))
def associations() -> None:
    ASSOCIATIONS.register()


@lacking("EKS access entries", "administrators are named so", lambda: no("create_access_entry"))
def entries() -> None:
    ENTRIES.register()
    base = "{0}/clusters/(?P<name>[^/]+)/access-entries/(?P<principalArn>.+)/access-policies"
    first = {f"{base}$": eks_urls.response.dispatch, f"{base}/(?P<policyArn>.+)$": eks_urls.response.dispatch}
    eks_urls.url_paths = first | eks_urls.url_paths  # before the entries, whose ARNs have slashes too

    def policies(self: EKSResponse) -> dict:
        place = self.params["clusterName"], self.params["principalArn"]
        return vars(self.eks_backend).setdefault("own_policies", {}).setdefault(place, {})

    def associate(self: EKSResponse) -> ActionResult:
        policies(self)[self.params["policyArn"]] = {
            name: self.params[name] for name in ("policyArn", "accessScope", "principalArn")
        }
        return ActionResult({"associatedAccessPolicy": policies(self)[self.params["policyArn"]]})

    def listed(self: EKSResponse) -> ActionResult:
        return ActionResult({"associatedAccessPolicies": list(policies(self).values())})

    def disassociate(self: EKSResponse) -> ActionResult:
        policies(self).pop(self.params["policyArn"], None)
        return ActionResult({})

    EKSResponse.associate_access_policy = associate
    EKSResponse.list_associated_access_policies = listed
    EKSResponse.disassociate_access_policy = disassociate


@lacking(
    "a cluster's security group and way in",
    "the stores let nodes in by that group",
    lambda: "clusterSecurityGroupId" not in source(EKSBackend.create_cluster) and no("describe_access_entry"),
)
def cluster_group() -> None:
    create, delete = EKSResponse.create_cluster, EKSResponse.delete_cluster

    def created(self: EKSResponse) -> ActionResult:
        result = create(self)
        cluster = self.eks_backend.clusters[self.params["name"]]
        ec2 = ec2_backends[self.current_account][self.region]
        vpc = ec2.get_subnet(cluster.resources_vpc_config["subnetIds"][0]).vpc_id
        group = ec2.create_security_group(f"eks-cluster-sg-{cluster.name}", "made by EKS", vpc_id=vpc)
        cluster.resources_vpc_config |= {"clusterSecurityGroupId": group.id, "vpcId": vpc}
        cluster.access_config = self.params.get("accessConfig")
        return result

    def deleted(self: EKSResponse) -> ActionResult:
        config = self.eks_backend.clusters[self.params["name"]].resources_vpc_config
        result = delete(self)
        ec2_backends[self.current_account][self.region].delete_security_group(group_id=config["clusterSecurityGroupId"])
        return result

    EKSResponse.create_cluster, EKSResponse.delete_cluster = created, deleted


@lacking(
    "the auto scaling group of a node group",
    "scaling from zero rests on its tags",
    lambda: "autoscaling" not in source(EKSBackend.create_nodegroup),
)
def groups() -> None:
    create, delete = EKSResponse.create_nodegroup, EKSResponse.delete_nodegroup

    def scaling(self: EKSResponse) -> tuple:
        cluster = self.eks_backend.clusters[self.params["clusterName"]]
        return autoscaling_backends[self.current_account][self.region], cluster.nodegroups[self.params["nodegroupName"]]

    def created(self: EKSResponse) -> ActionResult:
        result = create(self)
        backend, nodes = scaling(self)
        nodes.update_config = {name: value for name, value in self.params["updateConfig"].items() if value}
        nodes.remote_access = nodes.disk_size = None  # moto's inventions; the launch template decides
        backend.create_auto_scaling_group(
            name=nodes.resources["autoScalingGroups"][0]["name"],
            availability_zones=None,
            desired_capacity=0,  # moto would want an image to start machines of
            max_size=nodes.scaling_config["maxSize"],
            min_size=0,
            launch_config_name=None,
            launch_template={"LaunchTemplateId": nodes.launch_template["id"], "Version": "$Default"},
            vpc_zone_identifier=",".join(nodes.subnets),
            default_cooldown=None,
            health_check_period=None,
            health_check_type=None,
            load_balancers=[],
            target_group_arns=[],
            placement_group=None,
            termination_policies=[],
            tags=[],
        )
        return result

    def deleted(self: EKSResponse) -> ActionResult:
        backend, nodes = scaling(self)
        backend.delete_auto_scaling_group(nodes.resources["autoScalingGroups"][0]["name"])
        return delete(self)

    EKSResponse.create_nodegroup, EKSResponse.delete_nodegroup = created, deleted


@lacking(
    "ElastiCache's parameter groups",
    "quotas must not be evicted",
    lambda: not hasattr(ElastiCacheResponse, "create_cache_parameter_group"),
)
def parameter_groups() -> None:
    def own(self: ElastiCacheResponse) -> dict:
        return vars(self.elasticache_backend).setdefault("own_parameter_groups", {})

    def create(self: ElastiCacheResponse) -> ActionResult:
        name = self.params["CacheParameterGroupName"]
        arn = f"arn:aws:elasticache:{self.region}:{self.current_account}:parametergroup:{name}"
        own(self)[name] = dict(self.params) | {"ARN": arn, "own": {}}
        self.elasticache_backend.tagging_service.tag_resource(arn, self.params.get("Tags") or [])
        return ActionResult({"CacheParameterGroup": own(self)[name]})

    def describe(self: ElastiCacheResponse) -> ActionResult:
        return ActionResult({"CacheParameterGroups": [own(self)[self.params["CacheParameterGroupName"]]]})

    def modify(self: ElastiCacheResponse) -> ActionResult:
        group = own(self)[self.params["CacheParameterGroupName"]]
        for parameter in self.params["ParameterNameValues"]:
            group["own"][parameter["ParameterName"]] = dict(parameter) | {"Source": "user"}
        return ActionResult({"CacheParameterGroupName": self.params["CacheParameterGroupName"]})

    def parameters(self: ElastiCacheResponse) -> ActionResult:
        return ActionResult({"Parameters": list(own(self)[self.params["CacheParameterGroupName"]]["own"].values())})

    def delete(self: ElastiCacheResponse) -> ActionResult:
        del own(self)[self.params["CacheParameterGroupName"]]
        return ActionResult({})

    tags = ElastiCacheBackend.list_tags_for_resource

    def tags_of(self: ElastiCacheBackend, arn: str) -> dict:
        own_kind = ":parametergroup:" in arn
        return self.tagging_service.list_tags_for_resource(arn) if own_kind else tags(self, arn)

    ElastiCacheBackend.list_tags_for_resource = tags_of
    ElastiCacheResponse.create_cache_parameter_group = create
    ElastiCacheResponse.describe_cache_parameter_groups = describe
    ElastiCacheResponse.modify_cache_parameter_group = modify
    ElastiCacheResponse.describe_cache_parameters = parameters
    ElastiCacheResponse.delete_cache_parameter_group = delete


@lacking(
    "who set a parameter of PostgreSQL",
    "the provider takes none for its own that has no source",
    lambda: "Source" not in source(RDSResponse.describe_db_parameters),
)
def parameters() -> None:
    def described(self: RDSResponse) -> ActionResult:
        group = self.backend.db_parameter_groups[self.params["DBParameterGroupName"]]
        return ActionResult({"Parameters": [dict(one) | {"Source": "user"} for one in group.parameters.values()]})

    RDSResponse.describe_db_parameters = described


@lacking(
    "the nodes of a replication group",
    "the provider reads a group's settings off its first node",
    lambda: "create_cache_cluster" not in source(ElastiCacheBackend.create_replication_group),
)
def members() -> None:
    def describe(self: ElastiCacheResponse) -> ActionResult:
        wanted = self.params["CacheClusterId"]
        for group in self.elasticache_backend.replication_groups.values():
            if wanted in group.member_clusters:
                return ActionResult({"CacheClusters": [node(self, group, wanted)]})
        return ActionResult({"CacheClusters": self.elasticache_backend.describe_cache_clusters(wanted)})

    def node(self: ElastiCacheResponse, group: object, name: str) -> dict:
        asked = vars(self.elasticache_backend)["own_requests"][group.replication_group_id]
        return {
            "CacheClusterId": name,
            "CacheClusterStatus": "available",
            "CacheNodeType": group.cache_node_type,
            "Engine": asked["Engine"],
            "EngineVersion": f"{asked['EngineVersion']}.1",
            "ARN": group.arn.replace("replicationgroup", "cluster") + name[-4:],
            "CacheSubnetGroupName": asked["CacheSubnetGroupName"],
            "CacheParameterGroup": {"CacheParameterGroupName": asked["CacheParameterGroupName"]},
            "SecurityGroups": [{"SecurityGroupId": one, "Status": "active"} for one in asked["SecurityGroupIds"]],
            "NotificationConfiguration": None,
            "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
            "SnapshotWindow": "03:00-04:00",
            "ReplicationGroupId": group.replication_group_id,
            "AtRestEncryptionEnabled": True,
            "TransitEncryptionEnabled": True,
        }

    create = ElastiCacheResponse.create_replication_group

    def created(self: ElastiCacheResponse) -> ActionResult:
        requests = vars(self.elasticache_backend).setdefault("own_requests", {})
        requests[self.params["ReplicationGroupId"]] = dict(self.params)
        return create(self)

    ElastiCacheResponse.create_replication_group = created
    ElastiCacheResponse.describe_cache_clusters = describe


@lacking(
    "the end of ElastiCache's subnet groups",
    "what is destroyed shall be gone",
    lambda: not hasattr(ElastiCacheResponse, "delete_cache_subnet_group"),
)
def subnet_groups() -> None:
    def delete(self: ElastiCacheResponse) -> ActionResult:
        del self.elasticache_backend.cache_subnet_groups[self.params["CacheSubnetGroupName"]]
        return ActionResult({})

    ElastiCacheResponse.delete_cache_subnet_group = delete


@lacking(
    "the end of a replication group",
    "it is being deleted for ever",
    lambda: "pop" not in source(ElastiCacheBackend.delete_replication_group),
)
def ends() -> None:
    delete = ElastiCacheBackend.delete_replication_group

    def deleted(self: ElastiCacheBackend, replication_group_id: str, retain_primary_cluster: bool | None) -> object:
        group = delete(self, replication_group_id, retain_primary_cluster)
        self.replication_groups.pop(replication_group_id)
        return group

    ElastiCacheBackend.delete_replication_group = deleted


def parsing(self: EKSResponse) -> None:
    """Requests are read by AWS's own description of them, as moto does for newer services."""
    BaseResponse.__init__(self, service_name="eks")
    self.automated_parameter_parsing = True


def no(action: str) -> bool:
    """Whether moto's EKS does not know an action."""
    return not hasattr(EKSResponse, action)


def source(function: Callable) -> str:
    """What a function mentions."""
    return " ".join((*function.__code__.co_names, *map(str, function.__code__.co_consts)))


if __name__ == "__main__":
    learned = [name for name, (_, still, _) in GAPS.items() if not still()]
    if learned:
        sys.exit(f"moto has these itself now; take them out of {__file__}: {', '.join(learned)}")
    EKSResponse.__init__ = parsing
    for _, _, fill in GAPS.values():
        fill()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
