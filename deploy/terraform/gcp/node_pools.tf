resource "google_container_node_pool" "system" {
  project  = var.project_id
  name     = "system"
  location = var.region
  cluster  = google_container_cluster.this.name

  autoscaling {
    total_min_node_count = var.system_nodes.min
    total_max_node_count = var.system_nodes.max
    location_policy      = "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type      = var.system_nodes.machine_type
    disk_type         = "pd-balanced"
    disk_size_gb      = var.system_nodes.disk
    boot_disk_kms_key = google_kms_crypto_key.this["disks"].id
    service_account   = google_service_account.node.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    labels            = { "shoal/pool" = "system" }
    resource_labels   = local.labels
    metadata          = { disable-legacy-endpoints = "true" }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count]
  }
}

# Zero nodes until the cluster's autoscaler wants one, also where a pool keeps engines warm: their pods ask for the nodes.
# ANY: in whichever zone has the GPU.
resource "google_container_node_pool" "gpu" {
  for_each = module.pools.nodes

  project            = var.project_id
  name               = each.key
  location           = var.region
  cluster            = google_container_cluster.this.name
  node_locations     = length(each.value.zones) > 0 ? each.value.zones : null
  initial_node_count = 0

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = each.value.max
    location_policy      = "ANY"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  upgrade_settings {
    max_surge       = 0 # a GPU more may not be had
    max_unavailable = 1
  }

  node_config {
    machine_type      = each.value.machine_type
    spot              = each.value.spot
    disk_type         = "pd-balanced"
    disk_size_gb      = each.value.disk
    boot_disk_kms_key = google_kms_crypto_key.this["disks"].id
    service_account   = google_service_account.node.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    labels            = each.value.labels
    resource_labels   = local.labels
    metadata          = { disable-legacy-endpoints = "true" }

    guest_accelerator {
      type  = each.value.accelerator_name
      count = each.value.gpus

      gpu_driver_installation_config {
        gpu_driver_version = "LATEST"
      }
    }

    taint {
      key    = each.value.taint.key
      value  = each.value.taint.value
      effect = "NO_SCHEDULE"
    }

    # Images stream in while their containers already run.
    gcfs_config {
      enabled = true
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count]
  }
}
