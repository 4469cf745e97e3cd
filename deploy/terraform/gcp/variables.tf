variable "project_id" {
  description = "Google Cloud project that everything is made in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id has 6 to 30 lower-case letters, digits and dashes."
  }
}

variable "region" {
  description = "Region that everything is made in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region is written like europe-west4."
  }
}

variable "name" {
  description = "Name of the deployment, and the beginning of all that it makes."
  type        = string
  default     = "shoal"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 16 lower-case letters, digits and dashes, begins with a letter and does not end with a dash."
  }
}

variable "labels" {
  description = "Labels of everything that takes some."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "protect" {
  description = "Whether cluster, database and buckets with contents refuse to be destroyed. Off for deployments that are thrown away."
  type        = bool
  default     = true
  nullable    = false
}

# Network

variable "node_cidr" {
  description = "Addresses of nodes."
  type        = string
  default     = "10.60.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.node_cidr))
    error_message = "Write an IPv4 network like 10.60.0.0/20."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods; each node takes 256 of them."
  type        = string
  default     = "10.64.0.0/14"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.pod_cidr)) && try(tonumber(split("/", var.pod_cidr)[1]) <= 20, false)
    error_message = "Write an IPv4 network of /20 or larger, like 10.64.0.0/14."
  }
}

variable "service_cidr" {
  description = "Addresses of services."
  type        = string
  default     = "10.68.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.service_cidr))
    error_message = "Write an IPv4 network like 10.68.0.0/20."
  }
}

variable "control_plane_cidr" {
  description = "Addresses of the cluster's API, a block of /28."
  type        = string
  default     = "10.69.0.0/28"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.control_plane_cidr)) && endswith(var.control_plane_cidr, "/28")
    error_message = "The API's network is an IPv4 block of /28, like 10.69.0.0/28."
  }
}

# Cluster

variable "zones" {
  description = "Zones of the nodes; empty: three that Google chooses. Not every zone has every GPU."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, "${var.region}-")])
    error_message = "Zones are the region's, like europe-west4-a."
  }
}

variable "release_channel" {
  description = "How soon the cluster gets new versions of Kubernetes: RAPID, REGULAR or STABLE."
  type        = string
  default     = "REGULAR"
  nullable    = false

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE"], var.release_channel)
    error_message = "A release channel is RAPID, REGULAR or STABLE."
  }
}

variable "public_access_cidrs" {
  description = "Networks from which the cluster's API is reached over the internet; empty: it is private."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrnetmask(cidr))])
    error_message = "Write IPv4 networks like 198.51.100.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "A cluster's API is not for the whole internet: name networks of /8 or smaller, best of /32."
  }
}

variable "private_access_cidrs" {
  description = "Networks beside this one (a VPN, a peered network) that reach the cluster's private API."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.private_access_cidrs : can(cidrnetmask(cidr))])
    error_message = "Write IPv4 networks like 10.8.0.0/16."
  }
}

variable "namespace" {
  description = "Kubernetes namespace that the chart is installed into; identities are bound to it."
  type        = string
  default     = "shoal"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is a DNS label."
  }
}

variable "secret_reader" {
  description = "Kubernetes service account, as namespace/name, that may read the deployment's secret, as an operator for external secrets does; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.secret_reader == null || can(regex("^[a-z0-9-]+/[a-z0-9.-]+$", var.secret_reader))
    error_message = "Write the service account as namespace/name."
  }
}

variable "system_nodes" {
  description = "Nodes of the gateway and of everything else but engines; they always run. min and max count all zones together."
  type = object({
    machine_type = optional(string, "e2-standard-4")
    min          = optional(number, 2)
    max          = optional(number, 4)
    disk         = optional(number, 50)
  })
  default  = {}
  nullable = false

  validation {
    condition     = 1 <= var.system_nodes.min && var.system_nodes.min <= var.system_nodes.max && var.system_nodes.disk >= 20
    error_message = "There is at least one system node, at most max, each with a disk of 20 GB or more."
  }
}

variable "gpu_pools" {
  description = <<-EOT
    GPU pools by name. The name is the one that models are registered for (`shoal model add --pool`).
    - `accelerator`: l4 (24 GB), a100 (40 GB) or h100 (80 GB).
    - `gpus`: GPUs of one node, each of which runs one engine: 1, 2, 4 or 8; fewer than 8 H100s as spot capacity only.
    - `min`: nodes that the autoscaler of the pods keeps warm; 0 lets the pool rest at nothing.
    - `max`: nodes at most, of all zones together.
    - `spot`: spare capacity at a discount, which Google may take back at half a minute's notice.
    - `disk`: GB of each node's disk: images, and the models that its engines downloaded.
    - `zones`: zones to look in; empty: all of the cluster's.
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
    condition     = alltrue(flatten([for pool in values(var.gpu_pools) : [for zone in pool.zones : startswith(zone, "${var.region}-")]]))
    error_message = "A pool's zones are the region's."
  }
}
