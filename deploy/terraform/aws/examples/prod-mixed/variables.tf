variable "region" {
  description = "AWS region, one that has all three accelerators."
  type        = string
  default     = "us-east-1"
}

variable "operator_cidrs" {
  description = "Networks of the operators (a VPN, a peered VPC) that reach the cluster's private API."
  type        = list(string)
}

variable "admin_principal_arns" {
  description = "IAM roles and users who administrate the cluster."
  type        = set(string)
}
