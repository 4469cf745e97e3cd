variable "cloud" {
  description = "Whose machines the pools are made of: aws or gcp."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["aws", "gcp"], var.cloud)
    error_message = "The cloud is aws or gcp."
  }
}

variable "pools" {
  description = <<-EOT
    GPU pools by name. The name is the one that models are registered for (`shoal model add --pool`).
    - `accelerator`: l4 (24 GB), a100 (40 GB) or h100 (80 GB).
    - `gpus`: GPUs of one node; each runs one engine. Which numbers there are depends on the cloud.
    - `min`: nodes that the autoscaler of the pods keeps warm; 0 lets the pool rest at nothing.
    - `max`: nodes at most.
    - `spot`: spare capacity at a discount, which the cloud may take back at two minutes' notice or less.
    - `disk`: GB of each node's disk: images, and the models that its engines downloaded.
    - `zones`: availability zones to look in; empty: all of the cluster's.
  EOT
  type = map(object({
    accelerator = string
    gpus        = optional(number, 1)
    min         = optional(number, 0)
    max         = optional(number, 1)
    spot        = optional(bool, false)
    disk        = optional(number, 200)
    zones       = optional(list(string), [])
  }))
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$", name))])
    error_message = "A pool's name has at most 20 lower-case letters, digits and dashes, begins with a letter and does not end with a dash."
  }

  validation {
    condition     = !contains(keys(var.pools), "system")
    error_message = "The pool name system belongs to the nodes that run everything but engines."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["l4", "a100", "h100"], pool.accelerator)])
    error_message = "A pool's accelerator is l4, a100 or h100."
  }

  validation {
    condition = alltrue([
      for pool in values(var.pools) : contains(keys(lookup(local.offers, pool.accelerator, {})), tostring(pool.gpus))
      if contains(["l4", "a100", "h100"], pool.accelerator)
    ])
    error_message = "No machine of this cloud has so many of these GPUs. There are: ${local.offered}."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.min == floor(pool.min) && pool.max == floor(pool.max)])
    error_message = "A pool has a whole number of nodes."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : 0 <= pool.min && pool.min <= pool.max && 1 <= pool.max && pool.max <= 100])
    error_message = "A pool has 1 to 100 nodes at most, and keeps 0 to max of them warm."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.disk == floor(pool.disk) && 100 <= pool.disk && pool.disk <= 10000])
    error_message = "A node's disk has 100 to 10000 GB: the engine's image and its models must fit."
  }

  validation {
    condition = var.cloud != "gcp" || alltrue([
      for pool in values(var.pools) : pool.spot || pool.gpus == 8 if pool.accelerator == "h100"
    ])
    error_message = "Google sells fewer than 8 H100s as spot capacity only: set spot, or gpus = 8."
  }
}
