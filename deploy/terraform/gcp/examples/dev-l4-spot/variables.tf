variable "project_id" {
  description = "Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region with L4s."
  type        = string
  default     = "europe-west4"
}

variable "operator_cidrs" {
  description = "Networks from which the cluster's API is reached over the internet, such as your own address with /32."
  type        = list(string)
}
