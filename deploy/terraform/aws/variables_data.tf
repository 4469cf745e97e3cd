variable "database" {
  description = "The PostgreSQL: its machine, GB of disk and how far it may grow, whether a second zone stands by, days of backups, major version."
  type = object({
    instance_class = optional(string, "db.t4g.medium")
    disk           = optional(number, 20)
    max_disk       = optional(number, 200)
    standby        = optional(bool, true)
    backup_days    = optional(number, 14)
    version        = optional(string, "17")
  })
  default  = {}
  nullable = false

  validation {
    condition     = startswith(var.database.instance_class, "db.") && contains(["15", "16", "17"], var.database.version)
    error_message = "The database's machine is written like db.t4g.medium, its version 15, 16 or 17."
  }

  validation {
    condition     = 20 <= var.database.disk && var.database.disk < var.database.max_disk
    error_message = "The database's disk has 20 GB or more and may grow to max_disk."
  }

  validation {
    condition     = 1 <= var.database.backup_days && var.database.backup_days <= 35
    error_message = "Backups of the database stay for 1 to 35 days."
  }
}

variable "redis" {
  description = "The Valkey in which gateways count quotas: its machine, and how many replicas stand by."
  type = object({
    node_type = optional(string, "cache.t4g.small")
    replicas  = optional(number, 1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = startswith(var.redis.node_type, "cache.") && 0 <= var.redis.replicas && var.redis.replicas <= 5
    error_message = "Its machine is written like cache.t4g.small; it has 0 to 5 replicas."
  }
}

variable "model_bucket" {
  description = "Lifecycle of the bucket of models: days after which those that nobody reads move to cheaper storage by themselves (null: at once), days for which replaced and deleted ones can still be had."
  type = object({
    tiering_days    = optional(number)
    noncurrent_days = optional(number, 7)
  })
  default  = {}
  nullable = false

  validation {
    condition     = coalesce(var.model_bucket.tiering_days, 0) >= 0 && var.model_bucket.noncurrent_days >= 1
    error_message = "Days are not negative, and what was replaced stays for a day at least."
  }
}
