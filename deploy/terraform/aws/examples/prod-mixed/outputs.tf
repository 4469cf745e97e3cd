output "helm_values" {
  description = "Values for the chart, in YAML."
  value       = module.shoal.helm_values
}

output "kubernetes_objects" {
  description = "What the chart expects in the cluster, in YAML."
  value       = module.shoal.kubernetes_objects
  sensitive   = true
}

output "kubeconfig_command" {
  description = "Command that makes kubectl and helm talk to the cluster."
  value       = module.shoal.kubeconfig_command
}

output "model_bucket" {
  description = "Bucket whose folders engines see under /models."
  value       = module.shoal.model_bucket
}
