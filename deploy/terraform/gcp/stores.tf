resource "google_sql_database_instance" "this" {
  project             = var.project_id
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_${var.database.version}"
  deletion_protection = var.protect

  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.database.tier
    availability_type           = var.database.standby ? "REGIONAL" : "ZONAL"
    deletion_protection_enabled = var.protect
    disk_type                   = "PD_SSD"
    disk_size                   = var.database.disk
    disk_autoresize             = true
    disk_autoresize_limit       = var.database.max_disk
    user_labels                 = local.labels

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, var.database.backup_days)

      backup_retention_settings {
        retained_backups = var.database.backup_days
        retention_unit   = "COUNT"
      }
    }

    insights_config {
      query_insights_enabled = true
    }

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }

    database_flags {
      name  = "log_connections"
      value = "on"
    }

    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }

    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }

    database_flags {
      name  = "log_statement"
      value = "ddl"
    }
  }

  depends_on = [google_service_networking_connection.stores]
}

resource "google_sql_database" "this" {
  project  = var.project_id
  name     = "shoal"
  instance = google_sql_database_instance.this.name
}

resource "google_sql_user" "this" {
  project  = var.project_id
  name     = "shoal"
  instance = google_sql_database_instance.this.name
  password = local.secrets.database
  # What it owns would keep it from being deleted; the instance goes with it.
  deletion_policy = "ABANDON"
}

# A counter that was evicted would give its tenant a fresh quota: better to refuse to grow.
resource "google_redis_instance" "this" {
  project                 = var.project_id
  name                    = var.name
  region                  = var.region
  tier                    = var.redis.standby ? "STANDARD_HA" : "BASIC"
  memory_size_gb          = var.redis.memory
  redis_version           = "REDIS_7_2"
  redis_configs           = { maxmemory-policy = "noeviction" }
  authorized_network      = google_compute_network.this.id
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"
  labels                  = local.labels

  depends_on = [google_service_networking_connection.stores]
}
