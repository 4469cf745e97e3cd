locals {
  disks = merge({ system = var.system_nodes.disk }, { for name, pool in module.pools.nodes : name => pool.disk })
}

resource "aws_launch_template" "node" {
  for_each = local.disks

  name                   = "${var.name}-${each.key}"
  update_default_version = true
  tags                   = local.tags

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = each.value
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  # One hop: a pod does not reach the node's own role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = "${var.name}-${each.key}" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }
}

resource "aws_eks_node_group" "system" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "system"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for subnet in aws_subnet.private : subnet.id]
  ami_type        = "AL2023_x86_64_STANDARD"
  instance_types  = [var.system_nodes.instance_type]
  version         = var.kubernetes_version
  labels          = { "shoal/pool" = "system" }
  tags            = local.tags

  launch_template {
    id      = aws_launch_template.node["system"].id
    version = aws_launch_template.node["system"].latest_version
  }

  scaling_config {
    desired_size = var.system_nodes.min
    min_size     = var.system_nodes.min
    max_size     = var.system_nodes.max
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_eks_addon.network, aws_iam_role_policy_attachment.node, aws_route.private]
}

# Zero nodes until the cluster's autoscaler wants one, also where a pool keeps engines warm: their pods ask for the nodes.
resource "aws_eks_node_group" "gpu" {
  for_each = module.pools.nodes

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for zone, subnet in aws_subnet.private : subnet.id if length(each.value.zones) == 0 || contains(each.value.zones, zone)]
  ami_type        = "AL2023_x86_64_NVIDIA"
  capacity_type   = each.value.spot ? "SPOT" : "ON_DEMAND"
  instance_types  = [each.value.machine_type]
  version         = var.kubernetes_version
  labels          = merge(each.value.labels, { "k8s.amazonaws.com/accelerator" = each.value.accelerator_name })
  tags            = local.tags

  launch_template {
    id      = aws_launch_template.node[each.key].id
    version = aws_launch_template.node[each.key].latest_version
  }

  scaling_config {
    desired_size = 0
    min_size     = 0
    max_size     = each.value.max
  }

  taint {
    key    = each.value.taint.key
    value  = each.value.taint.value
    effect = "NO_SCHEDULE"
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_eks_addon.network, aws_iam_role_policy_attachment.node, aws_route.private]
}

# What a node would be like, for the autoscaler of a group that has none to look at. EKS does not copy a node group's
# tags to the group that scales.
locals {
  templates = merge([
    for name, pool in module.pools.nodes : {
      for tag, value in merge(
        { for label, value in aws_eks_node_group.gpu[name].labels : "label/${label}" => value },
        {
          "taint/${pool.taint.key}"     = "${pool.taint.value}:${pool.taint.effect}"
          "resources/nvidia.com/gpu"    = tostring(pool.gpus)
          "resources/ephemeral-storage" = "${pool.disk}Gi"
        },
      ) : "${name}/${tag}" => { pool = name, key = "k8s.io/cluster-autoscaler/node-template/${tag}", value = value }
    }
  ]...)
}

resource "aws_autoscaling_group_tag" "template" {
  for_each = local.templates

  autoscaling_group_name = one(flatten(aws_eks_node_group.gpu[each.value.pool].resources[*].autoscaling_groups[*].name))

  tag {
    key                 = each.value.key
    value               = each.value.value
    propagate_at_launch = false
  }
}
