# What pods may do, each by a role of its own (EKS Pod Identity). Engines may do nothing: models are mounted for them.
locals {
  identities = merge(
    {
      gateway            = { namespace = var.namespace, service_account = "shoal-gateway" }
      cluster-autoscaler = { namespace = "kube-system", service_account = "cluster-autoscaler" }
    },
    var.secret_reader == null ? {} : {
      secret-reader = {
        namespace       = split("/", var.secret_reader)[0]
        service_account = split("/", var.secret_reader)[1]
      }
    },
  )

  # Identities of add-ons are bound by the add-ons themselves.
  addon_identities = {
    vpc-cni = "aws-node"
    ebs-csi = "ebs-csi-controller-sa"
    s3-csi  = "s3-csi-driver-sa"
  }

  own_policies = merge(
    {
      gateway            = data.aws_iam_policy_document.gateway.json
      cluster-autoscaler = data.aws_iam_policy_document.autoscaler.json
      s3-csi             = data.aws_iam_policy_document.models.json
    },
    var.secret_reader == null ? {} : { secret-reader = data.aws_iam_policy_document.secret.json },
  )
  managed_policies = { vpc-cni = "AmazonEKS_CNI_Policy", ebs-csi = "service-role/AmazonEBSCSIDriverPolicy" }
}

resource "aws_iam_role" "pod" {
  for_each = toset(concat(keys(local.identities), keys(local.addon_identities)))

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume["pods.eks"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.own_policies

  name   = each.key
  role   = aws_iam_role.pod[each.key].id
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "pod" {
  for_each = local.managed_policies

  role       = aws_iam_role.pod[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each = local.identities

  cluster_name    = aws_eks_cluster.this.name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.pod[each.key].arn
  tags            = local.tags
}

data "aws_iam_policy_document" "gateway" {
  statement {
    sid       = "FilesOfBatches"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.this["files"].arn}/*"]
  }

  statement {
    sid       = "ListThem"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this["files"].arn]
  }

  statement {
    sid       = "TheirKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "models" {
  statement {
    sid       = "ReadModels"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this["models"].arn}/*"]
  }

  statement {
    sid       = "ListThem"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this["models"].arn]
  }

  statement {
    sid       = "TheirKey"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "secret" {
  statement {
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = [aws_secretsmanager_secret.this.arn]
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${local.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "autoscaler" {
  statement {
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeLaunchConfigurations",
      "autoscaling:DescribeScalingActivities",
      "autoscaling:DescribeTags",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:GetInstanceTypesFromInstanceRequirements",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "LookAtNodeGroups"
    actions   = ["eks:DescribeNodegroup"]
    resources = ["arn:${local.partition}:eks:${local.region}:${local.account}:nodegroup/${var.name}/*"]
  }

  statement {
    sid       = "ScaleThisClustersGroups"
    actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.name}"
      values   = ["owned"]
    }
  }
}
