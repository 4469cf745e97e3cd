data "aws_availability_zones" "region" {
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  zones     = length(var.zones) > 0 ? var.zones : slice(data.aws_availability_zones.region.names, 0, min(3, length(data.aws_availability_zones.region.names)))
  tags      = merge(var.tags, { "shoal/deployment" = var.name })
}

module "pools" {
  source = "../modules/gpu-pools"

  cloud = "aws"
  pools = var.gpu_pools
}
