# One key for what the deployment keeps: Kubernetes' secrets, the database, Valkey, buckets, secrets and logs. Disks of
# nodes have the account's own key for disks: it needs no grants to the roles by which AWS starts machines.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "TheAccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "LogsOfThisDeployment"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [for group in ["/aws/eks/${var.name}/cluster", "/aws/vpc/${var.name}/flow", "/aws/rds/instance/${var.name}/postgresql"] :
        "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${group}"
      ]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "What Shoal's deployment ${var.name} keeps"
  enable_key_rotation     = true
  deletion_window_in_days = var.protect ? 30 : 7
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = local.tags
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
