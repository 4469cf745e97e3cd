output "helm_values" {
  description = "Values for the chart, in YAML, without secrets: helm upgrade --install shoal … -f <(terraform output -raw helm_values)."
  value       = yamlencode(local.helm_values)
}

output "kubernetes_objects" {
  description = "What the chart expects in the cluster, in YAML: namespace and secret. Pipe it to kubectl apply -f -."
  value       = join("---\n", [for object in local.kubernetes_objects : yamlencode(object)])
  sensitive   = true
}

output "kubeconfig_command" {
  description = "Command that makes kubectl and helm talk to the cluster."
  value       = "gcloud container clusters get-credentials ${google_container_cluster.this.name} --region ${var.region} --project ${var.project_id}${length(var.public_access_cidrs) == 0 ? " --internal-ip" : ""}"
}

output "cluster_name" {
  description = "Name of the GKE cluster."
  value       = google_container_cluster.this.name
}

output "cluster_endpoint" {
  description = "Address of the cluster's API."
  value       = google_container_cluster.this.endpoint
}

output "cluster_ca" {
  description = "Authority of the API's certificate, base64 of PEM."
  value       = one(google_container_cluster.this.master_auth[*].cluster_ca_certificate)
}

output "network" {
  description = "The network."
  value       = google_compute_network.this.name
}

output "gpu_node_pools" {
  description = "By pool: the machine and most nodes."
  value = { for name, pool in module.pools.nodes : name => {
    machine_type = one(google_container_node_pool.gpu[name].node_config[*].machine_type)
    max          = pool.max
  } }
}

output "model_bucket" {
  description = "Bucket whose folders engines see under /models: gcloud storage cp -r FOLDER gs://BUCKET/NAME, then shoal model add ID --source /models/NAME."
  value       = google_storage_bucket.models.name
}

output "database_address" {
  description = "Address of the PostgreSQL, reached from the network only."
  value       = google_sql_database_instance.this.private_ip_address
}

output "redis_address" {
  description = "Address of the Redis, reached from the network only."
  value       = google_redis_instance.this.host
}

output "secret_id" {
  description = "Secret whose JSON has the program's secrets by the names of their variables, for operators of external secrets."
  value       = google_secret_manager_secret.this.id
}

output "service_accounts" {
  description = "Service accounts of pods, by what they are for."
  value       = { for name, account in google_service_account.pod : name => account.email }
}
