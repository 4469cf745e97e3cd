# Three pools in a private network, everything twice: embedders on L4s (two of them always warm), large models on A100s,
# the largest on spot H100s. The cluster's API is reached from the operators' network only.
provider "google" {
  project = var.project_id
  region  = var.region
}

module "shoal" {
  source = "../.."

  project_id           = var.project_id
  region               = var.region
  private_access_cidrs = var.operator_cidrs
  secret_reader        = "external-secrets/external-secrets"

  gpu_pools = {
    l4   = { accelerator = "l4", min = 2, max = 12 }
    a100 = { accelerator = "a100", gpus = 2, max = 4, disk = 500 }
    h100 = { accelerator = "h100", gpus = 1, max = 4, disk = 500, spot = true }
  }

  system_nodes = { min = 3, max = 9 }
  database     = { tier = "db-custom-4-15360", disk = 100, max_disk = 1000, backup_days = 35 }
  redis        = { memory = 5 }
}
