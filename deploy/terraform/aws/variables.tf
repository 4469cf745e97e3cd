variable "name" {
  description = "Name of the deployment, and the beginning of all that it makes."
  type        = string
  default     = "shoal"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 24 lower-case letters, digits and dashes, begins with a letter and does not end with a dash."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "protect" {
  description = "Whether the database refuses to be destroyed and leaves a snapshot, and buckets with contents stay. Off for deployments that are thrown away."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which logs of the cluster, the network and the database stay."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096 or 1827 days."
  }
}

# Network

variable "zones" {
  description = "Availability zones, 2 to 4; empty: the region's first three. Name them where the deployment is to last; not every zone has every GPU."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = contains([0, 2, 3, 4], length(var.zones)) && length(distinct(var.zones)) == length(var.zones)
    error_message = "Name 2, 3 or 4 different zones, or none."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the network, a block of /16 to /20; up to half of them for nodes and their pods."
  type        = string
  default     = "10.60.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "The network is an IPv4 block of /16 to /20, like 10.60.0.0/16."
  }
}

variable "nat_gateways" {
  description = "How nodes reach the internet: one (cheap; its zone's end is everyone's), per_zone, or none (images and models must come through endpoints)."
  type        = string
  default     = "per_zone"
  nullable    = false

  validation {
    condition     = contains(["one", "per_zone", "none"], var.nat_gateways)
    error_message = "NAT gateways: one, per_zone or none."
  }
}

variable "interface_endpoints" {
  description = "AWS services that nodes reach without leaving the network; each costs by the hour and zone. S3 always has a gateway, which is free."
  type        = set(string)
  default     = ["autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "logs", "secretsmanager", "sts"]
  nullable    = false

  validation {
    condition     = var.nat_gateways != "none" || length(setsubtract(["ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "sts"], var.interface_endpoints)) == 0
    error_message = "Without NAT gateways nodes need the endpoints ec2, ecr.api, ecr.dkr, eks, eks-auth and sts."
  }
}

# Cluster

variable "kubernetes_version" {
  description = "Version of Kubernetes, 1.28 or newer."
  type        = string
  default     = "1.33"
  nullable    = false

  validation {
    condition     = can(regex("^1\\.(2[89]|3[0-9])$", var.kubernetes_version))
    error_message = "The chart needs Kubernetes 1.28 or newer, written like 1.33."
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
  description = "Networks beside this one (a VPN, a peered VPC) that reach the cluster's private API."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.private_access_cidrs : can(cidrnetmask(cidr))])
    error_message = "Write IPv4 networks like 10.8.0.0/16."
  }
}

variable "admin_principal_arns" {
  description = "IAM roles and users who administrate the cluster, beside whoever makes it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.admin_principal_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "An administrator is the ARN of an IAM role or user."
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
  description = "Service account, as namespace/name, that may read the deployment's secret, as an operator for external secrets does; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.secret_reader == null || can(regex("^[a-z0-9-]+/[a-z0-9.-]+$", var.secret_reader))
    error_message = "Write the service account as namespace/name."
  }
}

variable "system_nodes" {
  description = "Nodes of the gateway and of everything else but engines; they always run."
  type = object({
    instance_type = optional(string, "m7i.large")
    min           = optional(number, 2)
    max           = optional(number, 4)
    disk          = optional(number, 50)
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
    - `gpus`: GPUs of one node, each of which runs one engine: l4 1, 4 or 8; a100 8; h100 1 or 8.
    - `min`: nodes that the autoscaler of the pods keeps warm; 0 lets the pool rest at nothing.
    - `max`: nodes at most.
    - `spot`: spare capacity at a discount, which AWS may take back at two minutes' notice.
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
    condition     = alltrue([for pool in values(var.gpu_pools) : length(setsubtract(pool.zones, local.zones)) == 0])
    error_message = "A pool's zones are among the cluster's."
  }
}
