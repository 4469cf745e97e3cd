output "helm_values" {
  description = "Values for the chart, in YAML, without secrets: helm upgrade --install shoal … -f <(terraform output -raw helm_values)."
  value       = yamlencode(local.helm_values)
}

output "kubernetes_objects" {
  description = "What the chart expects in the cluster, in YAML: namespace, secret, and the volume of models. Pipe it to kubectl apply -f -."
  value       = join("---\n", [for object in local.kubernetes_objects : yamlencode(object)])
  sensitive   = true
}

output "kubeconfig_command" {
  description = "Command that makes kubectl and helm talk to the cluster."
  value       = "aws eks update-kubeconfig --region ${local.region} --name ${aws_eks_cluster.this.name}"
}

output "cluster_name" {
  description = "Name of the EKS cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_endpoint" {
  description = "Address of the cluster's API."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_ca" {
  description = "Authority of the API's certificate, base64 of PEM."
  value       = one(aws_eks_cluster.this.certificate_authority[*].data)
}

output "cluster_security_group_id" {
  description = "Security group of the cluster's nodes."
  value       = local.cluster_security_group
}

output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets of the nodes, by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "gpu_node_groups" {
  description = "By pool: the machine, most nodes, and the auto scaling group that the cluster's autoscaler scales."
  value = { for name, pool in module.pools.nodes : name => {
    machine_type      = pool.machine_type
    max               = pool.max
    autoscaling_group = one(flatten(aws_eks_node_group.gpu[name].resources[*].autoscaling_groups[*].name))
  } }
}

output "model_bucket" {
  description = "Bucket whose folders engines see under /models: aws s3 sync FOLDER s3://BUCKET/NAME, then shoal model add ID --source /models/NAME."
  value       = aws_s3_bucket.this["models"].id
}

output "files_bucket" {
  description = "Bucket of the files of batches."
  value       = aws_s3_bucket.this["files"].id
}

output "database_address" {
  description = "Host of the PostgreSQL, reached from the cluster only."
  value       = aws_db_instance.this.address
}

output "redis_address" {
  description = "Host of the Valkey, reached from the cluster only."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "secret_arn" {
  description = "Secret whose JSON has the program's secrets by the names of their variables, for operators of external secrets."
  value       = aws_secretsmanager_secret.this.arn
}

output "role_arns" {
  description = "IAM roles of pods, by what they are for."
  value       = { for name, role in aws_iam_role.pod : name => role.arn }
}
