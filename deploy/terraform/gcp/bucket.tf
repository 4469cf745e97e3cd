# Folders of models, mounted read-only into engines.
resource "google_storage_bucket" "models" {
  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-models"
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect
  labels                      = local.labels

  versioning {
    enabled = true
  }

  # Google moves what is not read; with a number of days, age decides instead.
  autoclass {
    enabled = var.model_bucket.nearline_days == null
  }

  dynamic "lifecycle_rule" {
    for_each = var.model_bucket.nearline_days == null ? [] : [var.model_bucket.nearline_days]

    content {
      action {
        type          = "SetStorageClass"
        storage_class = "NEARLINE"
      }

      condition {
        age = lifecycle_rule.value
      }
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.model_bucket.noncurrent_days
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 1
    }
  }

  depends_on = [google_project_service.this]
}
