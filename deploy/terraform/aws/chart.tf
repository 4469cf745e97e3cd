# What the chart is installed with. Secrets go by kubernetes_objects, never by Helm's values.
locals {
  helm_values = {
    existingSecret = "shoal"
    pools          = module.pools.chart_pools

    gateway = {
      serviceAccount = { name = "shoal-gateway", annotations = {} }
      env            = { SHOAL_FILES = "s3://${aws_s3_bucket.this["files"].id}/files?region=${local.region}" }
    }

    engine = {
      serviceAccount    = { name = "shoal-engine", annotations = {} }
      extraVolumes      = [{ name = "models", persistentVolumeClaim = { claimName = "shoal-models", readOnly = true } }]
      extraVolumeMounts = [{ name = "models", mountPath = "/models", readOnly = true }]
    }

    networkPolicy = {
      database = { cidrs = [for subnet in aws_subnet.data : subnet.cidr_block], port = 5432 }
      redis    = { cidrs = [for subnet in aws_subnet.data : subnet.cidr_block], port = 6379 }
      # Load balancers have the network's addresses.
      ingressFrom = [{ ipBlock = { cidr = var.vpc_cidr } }]
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
    {
      apiVersion = "v1"
      kind       = "PersistentVolume"
      metadata   = { name = "${var.namespace}-models" }
      spec = {
        capacity                      = { storage = "1Ti" } # required, and ignored by buckets
        accessModes                   = ["ReadOnlyMany"]
        persistentVolumeReclaimPolicy = "Retain"
        storageClassName              = ""
        mountOptions                  = ["read-only", "allow-other", "region ${local.region}"]
        claimRef                      = { namespace = var.namespace, name = "shoal-models" }
        csi = {
          driver           = "s3.csi.aws.com"
          volumeHandle     = aws_s3_bucket.this["models"].id
          volumeAttributes = { bucketName = aws_s3_bucket.this["models"].id }
        }
      }
    },
    {
      apiVersion = "v1"
      kind       = "PersistentVolumeClaim"
      metadata   = { name = "shoal-models", namespace = var.namespace }
      spec = {
        accessModes      = ["ReadOnlyMany"]
        storageClassName = ""
        volumeName       = "${var.namespace}-models"
        resources        = { requests = { storage = "1Ti" } }
      }
    },
  ]
}
