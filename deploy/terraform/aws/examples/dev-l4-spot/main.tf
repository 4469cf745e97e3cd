# One pool of spot L4s that rests at zero, one NAT gateway, small stores without standby: cheap, and thrown away at will.
provider "aws" {
  region = var.region
}

module "shoal" {
  source = "../.."

  name                = "shoal-dev"
  protect             = false
  log_retention_days  = 7
  nat_gateways        = "one"
  interface_endpoints = []
  public_access_cidrs = var.operator_cidrs

  gpu_pools = {
    l4 = { accelerator = "l4", max = 2, spot = true }
  }

  system_nodes = { min = 1, max = 3 }
  database     = { instance_class = "db.t4g.small", standby = false, backup_days = 1 }
  redis        = { node_type = "cache.t4g.micro", replicas = 0 }
}
