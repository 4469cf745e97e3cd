# Nodes may pull images, and write logs and metrics.
resource "google_service_account" "node" {
  project      = var.project_id
  account_id   = "${var.name}-node"
  display_name = "Nodes of ${var.name}"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "node" {
  for_each = toset(["roles/artifactregistry.reader", "roles/container.defaultNodeServiceAccount"])

  project = var.project_id
  role    = each.key
  member  = "serviceAccount:${google_service_account.node.email}"
}

# What pods may do, each as an account of its own (workload identity): engines read the bucket of models, the gateway nothing.
locals {
  identities = merge(
    { engine = "${var.namespace}/shoal-engine" },
    var.secret_reader == null ? {} : { secrets = var.secret_reader },
  )
}

resource "google_service_account" "pod" {
  for_each = local.identities

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "${each.value} of ${var.name}"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "pod" {
  for_each = local.identities

  service_account_id = google_service_account.pod[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project_id}.svc.id.goog[${each.value}]"

  depends_on = [google_container_cluster.this]
}

resource "google_storage_bucket_iam_member" "engine" {
  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${google_service_account.pod["engine"].email}"
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = { for name, account in google_service_account.pod : name => account if name == "secrets" }

  project   = var.project_id
  secret_id = google_secret_manager_secret.this.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${each.value.email}"
}
