variable "database" {
  description = "The PostgreSQL: its machine, GB of disk and how far it may grow, whether a second zone stands by, how many days of backups, major version."
  type = object({
    tier        = optional(string, "db-custom-2-7680")
    disk        = optional(number, 20)
    max_disk    = optional(number, 200)
    standby     = optional(bool, true)
    backup_days = optional(number, 14)
    version     = optional(string, "17")
  })
  default  = {}
  nullable = false

  validation {
    condition     = startswith(var.database.tier, "db-") && contains(["15", "16", "17"], var.database.version)
    error_message = "The database's machine is written like db-custom-2-7680, its version 15, 16 or 17."
  }

  validation {
    condition     = 10 <= var.database.disk && var.database.disk <= var.database.max_disk
    error_message = "The database's disk has 10 GB or more and may grow to max_disk."
  }

  validation {
    condition     = 1 <= var.database.backup_days && var.database.backup_days <= 365
    error_message = "Backups of the database stay for 1 to 365 days."
  }
}

variable "redis" {
  description = "The Redis in which gateways count quotas: GB of memory, and whether a second zone stands by."
  type = object({
    memory  = optional(number, 1)
    standby = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = 1 <= var.redis.memory && var.redis.memory <= 300
    error_message = "Redis has 1 to 300 GB."
  }
}

variable "model_bucket" {
  description = "Lifecycle of the bucket of models: days after which those that nobody reads move to cheaper storage by themselves (null: Google decides), days for which replaced and deleted ones can still be had."
  type = object({
    nearline_days   = optional(number)
    noncurrent_days = optional(number, 7)
  })
  default  = {}
  nullable = false

  validation {
    condition     = coalesce(var.model_bucket.nearline_days, 1) >= 1 && var.model_bucket.noncurrent_days >= 1
    error_message = "Days are 1 or more."
  }
}
