# Random ones are made once, of two UUIDs' 244 random bits, by Terraform itself. They stay where `input` would show them in
# every plan: triggers_replace is marked as sensitive. A new one: terraform apply -replace='terraform_data.secret["engine"]'.
resource "terraform_data" "secret" {
  for_each = toset(["database", "redis", "engine", "metrics", "session", "key"])

  triggers_replace = sensitive(replace("${uuid()}${uuid()}", "-", ""))

  lifecycle {
    ignore_changes = [triggers_replace]
  }
}

locals {
  secrets = { for name, made in terraform_data.secret : name => sensitive(made.triggers_replace) }

  # By the names of the variables in which the program reads them.
  environment = {
    SHOAL_DATABASE_URL  = "postgresql://shoal:${local.secrets.database}@${aws_db_instance.this.address}:${aws_db_instance.this.port}/shoal?sslmode=require"
    SHOAL_REDIS_URL     = "rediss://:${local.secrets.redis}@${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0"
    SHOAL_ENGINE_SECRET = local.secrets.engine
    SHOAL_METRICS_KEY   = local.secrets.metrics
    SHOAL_SESSION_KEY   = local.secrets.session
    SHOAL_SECRET_KEY    = local.secrets.key
  }
}

resource "aws_secretsmanager_secret" "this" {
  name                    = "${var.name}/environment"
  description             = "Secrets of Shoal's deployment ${var.name}, by the names of its variables"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.protect ? 30 : 0
  tags                    = local.tags
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id     = aws_secretsmanager_secret.this.id
  secret_string = jsonencode(local.environment)
}
