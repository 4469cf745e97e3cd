locals {
  nodes = {
    for name, pool in var.pools : name => merge(pool, {
      machine_type     = local.offers[pool.accelerator][tostring(pool.gpus)].type
      accelerator_name = local.accelerator_names[var.cloud][pool.accelerator]
      labels           = { "shoal/pool" = name, "shoal/accelerator" = pool.accelerator }
      taint            = { key = "nvidia.com/gpu", value = "present", effect = "NoSchedule" }
    })
  }

  # One engine per GPU. Of a node, 2 processors and a tenth and 4 GiB of the memory stay with the system and the cluster's
  # own pods; of its disk, 60 GiB, with images and logs.
  shares = {
    for name, pool in var.pools : name => {
      cpu    = floor((local.offers[pool.accelerator][tostring(pool.gpus)].cpus - 2) / pool.gpus)
      memory = floor((local.offers[pool.accelerator][tostring(pool.gpus)].memory * 0.9 - 4) / pool.gpus)
      cache  = floor((pool.disk - 60) / pool.gpus)
    }
  }

  chart_pools = {
    for name, pool in var.pools : name => {
      accelerator  = pool.accelerator
      gpusPerNode  = pool.gpus
      min          = pool.min * pool.gpus
      max          = pool.max * pool.gpus
      nodeSelector = { "shoal/pool" = name }
      tolerations  = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
      resources = {
        requests = {
          cpu              = tostring(local.shares[name].cpu)
          memory           = "${local.shares[name].memory}Gi"
          "nvidia.com/gpu" = "1"
        }
        limits = {
          memory           = "${local.shares[name].memory}Gi"
          "nvidia.com/gpu" = "1"
        }
      }
      cacheSize = "${local.shares[name].cache}Gi"
    }
  }
}
