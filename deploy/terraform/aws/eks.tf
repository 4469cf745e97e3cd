resource "aws_eks_cluster" "this" {
  name                      = var.name
  version                   = var.kubernetes_version
  role_arn                  = aws_iam_role.cluster.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  tags                      = local.tags

  # Add-ons below take their place: they have versions, and can be taken back.
  bootstrap_self_managed_addons = false

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = aws_kms_key.this.arn
    }
  }

  vpc_config {
    subnet_ids              = [for subnet in aws_subnet.private : subnet.id]
    endpoint_private_access = true
    endpoint_public_access  = length(var.public_access_cidrs) > 0
    public_access_cidrs     = length(var.public_access_cidrs) > 0 ? var.public_access_cidrs : null
  }

  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

locals {
  cluster_security_group = one(aws_eks_cluster.this.vpc_config[*].cluster_security_group_id)
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  for_each = toset(var.private_access_cidrs)

  security_group_id = local.cluster_security_group
  description       = "The cluster's API from a network beside this one"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_eks_access_entry" "admin" {
  for_each = var.admin_principal_arns

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
  tags          = local.tags
}

resource "aws_eks_access_policy_association" "admin" {
  for_each = var.admin_principal_arns

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }

  depends_on = [aws_eks_access_entry.admin]
}

# Before the nodes: without a network none becomes ready.
resource "aws_eks_addon" "network" {
  for_each = {
    vpc-cni                = { identity = "vpc-cni", settings = { enableNetworkPolicy = "true" } }
    kube-proxy             = { identity = null, settings = null }
    eks-pod-identity-agent = { identity = null, settings = null }
  }

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value.settings == null ? null : jsonencode(each.value.settings)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  tags                        = local.tags

  dynamic "pod_identity_association" {
    for_each = each.value.identity == null ? [] : [each.value.identity]

    content {
      service_account = local.addon_identities[pod_identity_association.value]
      role_arn        = aws_iam_role.pod[pod_identity_association.value].arn
    }
  }

  depends_on = [aws_iam_role_policy_attachment.pod]
}

# After the nodes: their pods must run somewhere.
resource "aws_eks_addon" "workload" {
  for_each = {
    coredns                      = { identity = null, settings = null }
    metrics-server               = { identity = null, settings = null }
    aws-ebs-csi-driver           = { identity = "ebs-csi", settings = { defaultStorageClass = { enabled = true } } }
    aws-mountpoint-s3-csi-driver = { identity = "s3-csi", settings = { node = { tolerateAllTaints = true } } }
  }

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value.settings == null ? null : jsonencode(each.value.settings)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  tags                        = local.tags

  dynamic "pod_identity_association" {
    for_each = each.value.identity == null ? [] : [each.value.identity]

    content {
      service_account = local.addon_identities[pod_identity_association.value]
      role_arn        = aws_iam_role.pod[pod_identity_association.value].arn
    }
  }

  depends_on = [aws_eks_node_group.system, aws_iam_role_policy.pod, aws_iam_role_policy_attachment.pod]
}
