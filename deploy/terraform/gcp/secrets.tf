# Random ones are made once, of two UUIDs' 244 random bits, by Terraform itself. They stay where `input` would show them in
# every plan: triggers_replace is marked as sensitive. A new one: terraform apply -replace='terraform_data.secret["engine"]'.
resource "terraform_data" "secret" {
  for_each = toset(["database", "engine", "metrics", "session", "key"])

  triggers_replace = sensitive(replace("${uuid()}${uuid()}", "-", ""))

  lifecycle {
    ignore_changes = [triggers_replace]
  }
}

locals {
  secrets = { for name, made in terraform_data.secret : name => sensitive(made.triggers_replace) }

  # By the names of the variables in which the program reads them. Memorystore makes its own password.
  environment = {
    SHOAL_DATABASE_URL  = "postgresql://${google_sql_user.this.name}:${local.secrets.database}@${google_sql_database_instance.this.private_ip_address}:5432/${google_sql_database.this.name}?sslmode=require"
    SHOAL_REDIS_URL     = "rediss://:${google_redis_instance.this.auth_string}@${google_redis_instance.this.host}:${google_redis_instance.this.port}/0"
    SHOAL_ENGINE_SECRET = local.secrets.engine
    SHOAL_METRICS_KEY   = local.secrets.metrics
    SHOAL_SESSION_KEY   = local.secrets.session
    SHOAL_SECRET_KEY    = local.secrets.key
  }
}

resource "google_secret_manager_secret" "this" {
  project             = var.project_id
  secret_id           = "${var.name}-environment"
  deletion_protection = var.protect
  labels              = local.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "this" {
  secret      = google_secret_manager_secret.this.id
  secret_data = jsonencode(local.environment)
}
