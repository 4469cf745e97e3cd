variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "operator_cidrs" {
  description = "Networks from which the cluster's API is reached over the internet, such as your own address with /32."
  type        = list(string)
}
