# What the chart is installed with. Secrets go by kubernetes_objects, never by Helm's values.
locals {
  store_cidrs = ["${google_compute_global_address.stores.address}/${google_compute_global_address.stores.prefix_length}"]

  helm_values = {
    existingSecret = "shoal"
    pools          = module.pools.chart_pools

    gateway = {
      serviceAccount = { name = "shoal-gateway", annotations = {} }
      # Memorystore's certificate is signed by an authority of its own.
      trustedAuthorities = join("\n", google_redis_instance.this.server_ca_certs[*].cert)
    }

    engine = {
      serviceAccount = {
        name        = "shoal-engine"
        annotations = { "iam.gke.io/gcp-service-account" = google_service_account.pod["engine"].email }
      }
      podAnnotations = { "gke-gcsfuse/volumes" = "true" }
      extraVolumes = [{
        name = "models"
        csi = {
          driver           = "gcsfuse.csi.storage.gke.io"
          readOnly         = true
          volumeAttributes = { bucketName = google_storage_bucket.models.name, mountOptions = "implicit-dirs" }
        }
      }]
      extraVolumeMounts = [{ name = "models", mountPath = "/models", readOnly = true }]
    }

    networkPolicy = {
      database = { cidrs = local.store_cidrs, port = 5432 }
      redis    = { cidrs = local.store_cidrs, port = google_redis_instance.this.port }
    }
  }

  kubernetes_objects = [
    {
      apiVersion = "v1"
      kind       = "Namespace"
      metadata   = { name = var.namespace }
    },
    {
      apiVersion = "v1"
      kind       = "Secret"
      metadata   = { name = "shoal", namespace = var.namespace }
      type       = "Opaque"
      stringData = local.environment
    },
  ]
}
