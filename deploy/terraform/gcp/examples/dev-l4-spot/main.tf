# One pool of spot L4s that rests at zero, small stores without standby: cheap, and thrown away at will.
provider "google" {
  project = var.project_id
  region  = var.region
}

module "shoal" {
  source = "../.."

  project_id          = var.project_id
  region              = var.region
  name                = "shoal-dev"
  protect             = false
  public_access_cidrs = var.operator_cidrs

  gpu_pools = {
    l4 = { accelerator = "l4", max = 2, spot = true }
  }

  system_nodes = { machine_type = "e2-standard-2", min = 1, max = 3 }
  database     = { tier = "db-custom-1-3840", disk = 10, standby = false, backup_days = 1 }
  redis        = { standby = false }
}
