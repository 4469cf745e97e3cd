mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_eks_node_group" {
    defaults = { resources = [{ autoscaling_groups = [{ name = "eks-mock" }], remote_access_security_group_id = "" }] }
  }
  mock_resource "aws_elasticache_replication_group" {
    defaults = { primary_endpoint_address = "valkey.internal" }
  }
  mock_resource "aws_db_instance" {
    defaults = { address = "postgres.internal", port = 5432 }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mock" }
  }
}

variables {
  gpu_pools = {
    l4   = { accelerator = "l4", min = 1, max = 4, spot = true, zones = ["eu-central-1b"] }
    h100 = { accelerator = "h100", gpus = 8, max = 2, disk = 1000 }
  }
}

run "gpu_pools_rest_at_zero_nodes" {
  assert {
    condition = alltrue([
      for group in values(aws_eks_node_group.gpu) : group.scaling_config[0].desired_size == 0 && group.scaling_config[0].min_size == 0
    ])
    error_message = "A GPU node group starts with nodes."
  }
  assert {
    condition     = { for name, group in aws_eks_node_group.gpu : name => group.scaling_config[0].max_size } == { l4 = 4, h100 = 2 }
    error_message = "A GPU node group grows to another size than its pool's."
  }
  assert {
    condition     = { for name, group in aws_eks_node_group.gpu : name => group.capacity_type } == { l4 = "SPOT", h100 = "ON_DEMAND" }
    error_message = "Spot is a pool's own choice."
  }
  assert {
    condition     = aws_eks_node_group.gpu["l4"].subnet_ids == toset([aws_subnet.private["eu-central-1b"].id]) && length(aws_eks_node_group.gpu["h100"].subnet_ids) == 3
    error_message = "A pool with zones has nodes in these alone, another one everywhere."
  }
}

run "the_autoscaler_knows_what_a_node_would_be_like" {
  assert {
    condition = alltrue([
      for pool in ["l4", "h100"] : aws_autoscaling_group_tag.template["${pool}/taint/nvidia.com/gpu"].tag[0].value == "present:NoSchedule"
    ])
    error_message = "Without the taint's tag any pod would seem to fit."
  }
  assert {
    condition     = aws_autoscaling_group_tag.template["l4/label/shoal/pool"].tag[0].value == "l4" && aws_autoscaling_group_tag.template["h100/label/shoal/pool"].tag[0].value == "h100"
    error_message = "Without the label's tag no node would seem to fit the engines' selector."
  }
  assert {
    condition     = aws_autoscaling_group_tag.template["h100/resources/nvidia.com/gpu"].tag[0].value == "8"
    error_message = "Without the GPUs' tag no node would seem to have any."
  }
}

run "pools_have_one_name_in_nodes_and_chart" {
  assert {
    condition     = keys(yamldecode(output.helm_values).pools) == keys(aws_eks_node_group.gpu)
    error_message = "The chart's pools are not the cluster's."
  }
  assert {
    condition = alltrue([
      for name, pool in yamldecode(output.helm_values).pools : alltrue([
        for label, value in pool.nodeSelector : aws_eks_node_group.gpu[name].labels[label] == value
      ])
    ])
    error_message = "Engines select nodes that their pool does not have."
  }
  assert {
    condition = alltrue([
      for name, pool in yamldecode(output.helm_values).pools :
      [for taint in aws_eks_node_group.gpu[name].taint : taint.key] == [for toleration in pool.tolerations : toleration.key]
    ])
    error_message = "Engines do not tolerate the taints of their nodes."
  }
  assert {
    condition     = yamldecode(output.helm_values).pools.l4.min == 1 && yamldecode(output.helm_values).pools.h100.max == 16
    error_message = "The chart counts engines: one per GPU."
  }
}

run "the_api_is_private_by_default" {
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "The cluster's API is on the internet."
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible
    error_message = "The database is on the internet."
  }
}

run "the_api_opens_to_named_networks_alone" {
  variables {
    public_access_cidrs = ["198.51.100.7/32"]
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["198.51.100.7/32"])
    error_message = "The API answers to others than were named."
  }
}

run "the_whole_internet_is_refused" {
  command = plan
  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.public_access_cidrs]
}

run "what_is_kept_is_encrypted_and_protected" {
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "The database can be lost."
  }
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.performance_insights_enabled
    error_message = "The database does not stand by, or nobody sees what it does."
  }
  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled
    error_message = "Valkey does not stand by."
  }
  assert {
    condition = alltrue([
      for group in [aws_cloudwatch_log_group.cluster, aws_cloudwatch_log_group.flow, aws_cloudwatch_log_group.database] : group.retention_in_days >= 365
    ])
    error_message = "Logs are gone before a year is over."
  }
  assert {
    condition     = tobool(aws_elasticache_replication_group.this.at_rest_encryption_enabled) && aws_elasticache_replication_group.this.transit_encryption_enabled
    error_message = "Valkey speaks or keeps in clear."
  }
  assert {
    condition     = one(aws_elasticache_parameter_group.this.parameter).value == "noeviction"
    error_message = "Valkey may evict quotas."
  }
  assert {
    condition     = alltrue([for bucket in values(aws_s3_bucket.this) : !bucket.force_destroy])
    error_message = "A bucket with contents can be destroyed."
  }
  assert {
    condition     = alltrue([for template in values(aws_launch_template.node) : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "Pods reach the nodes' own role."
  }
}

run "secrets_are_long_differ_and_stay_out_of_the_values" {
  assert {
    condition     = alltrue([for secret in values(terraform_data.secret) : can(regex("^[0-9a-f]{64}$", secret.triggers_replace))])
    error_message = "A secret is not 64 hexadecimal digits."
  }
  assert {
    condition     = length(distinct([for secret in values(terraform_data.secret) : nonsensitive(secret.triggers_replace)])) == 6
    error_message = "Secrets repeat."
  }
  assert {
    condition     = alltrue([for secret in values(terraform_data.secret) : !strcontains(output.helm_values, nonsensitive(secret.triggers_replace))])
    error_message = "A secret is among the chart's values."
  }
  assert {
    condition = toset(keys(jsondecode(nonsensitive(aws_secretsmanager_secret_version.this.secret_string)))) == toset([
      "SHOAL_DATABASE_URL", "SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_REDIS_URL", "SHOAL_SECRET_KEY", "SHOAL_SESSION_KEY",
    ])
    error_message = "The secret does not have the program's variables."
  }
}

run "one_nat_gateway_serves_all_zones" {
  variables {
    nat_gateways = "one"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.private) == 3
    error_message = "Every zone has a way out, by one gateway."
  }
}

run "without_nat_the_needed_endpoints_are_demanded" {
  command = plan
  variables {
    nat_gateways        = "none"
    interface_endpoints = ["ec2"]
  }
  expect_failures = [var.interface_endpoints]
}

run "pools_in_zones_that_the_cluster_lacks_are_refused" {
  command = plan
  variables {
    gpu_pools = { l4 = { accelerator = "l4", zones = ["eu-central-1f"] } }
  }
  expect_failures = [var.gpu_pools]
}

run "wrong_words_are_refused" {
  command = plan
  variables {
    name                 = "Shoal"
    log_retention_days   = 8
    zones                = ["eu-central-1a"]
    vpc_cidr             = "10.0.0.0/28"
    nat_gateways         = "some"
    kubernetes_version   = "1.27"
    private_access_cidrs = ["everyone"]
    admin_principal_arns = ["root"]
    namespace            = "Shoal"
    secret_reader        = "reader"
    system_nodes         = { min = 0 }
    database             = { instance_class = "large" }
    redis                = { replicas = 9 }
    model_bucket         = { noncurrent_days = 0 }
    gpu_pools            = {}
  }
  expect_failures = [
    var.name, var.log_retention_days, var.zones, var.vpc_cidr, var.nat_gateways, var.kubernetes_version, var.private_access_cidrs,
    var.admin_principal_arns, var.namespace, var.secret_reader, var.system_nodes, var.database, var.redis, var.model_bucket,
  ]
}
