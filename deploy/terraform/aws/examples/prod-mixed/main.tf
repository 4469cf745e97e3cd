# Three pools in a private network, everything twice: embedders on L4s (two of them always warm), large models on A100s,
# the largest on H100s. The cluster's API is reached from the operators' network only.
provider "aws" {
  region = var.region
}

module "shoal" {
  source = "../.."

  name                 = "shoal"
  zones                = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  private_access_cidrs = var.operator_cidrs
  admin_principal_arns = var.admin_principal_arns
  secret_reader        = "external-secrets/external-secrets"

  gpu_pools = {
    l4   = { accelerator = "l4", min = 2, max = 12 }
    a100 = { accelerator = "a100", gpus = 8, max = 2, disk = 1000 }
    h100 = { accelerator = "h100", gpus = 1, max = 4, disk = 500 }
  }

  system_nodes = { instance_type = "m7i.xlarge", min = 3, max = 9 }
  database     = { instance_class = "db.m7g.large", disk = 100, max_disk = 1000, backup_days = 35 }
  redis        = { node_type = "cache.m7g.large", replicas = 2 }
}
