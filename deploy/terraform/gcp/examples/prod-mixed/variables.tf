variable "project_id" {
  description = "Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region that has all three accelerators."
  type        = string
  default     = "us-central1"
}

variable "operator_cidrs" {
  description = "Networks of the operators (a VPN, a peered network) that reach the cluster's private API."
  type        = list(string)
}
