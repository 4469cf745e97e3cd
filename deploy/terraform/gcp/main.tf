data "google_project" "this" {
  project_id = var.project_id
}

locals {
  number = data.google_project.this.number
  labels = merge(var.labels, { deployment = var.name })
}

module "pools" {
  source = "../modules/gpu-pools"

  cloud = "gcp"
  pools = var.gpu_pools
}

resource "google_project_service" "this" {
  for_each = toset([
    "cloudkms", "cloudresourcemanager", "compute", "container", "iam", "logging", "monitoring", "redis", "secretmanager",
    "servicenetworking", "sqladmin", "storage",
  ])

  project            = var.project_id
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
