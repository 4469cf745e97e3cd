# Keys of our own for Kubernetes' secrets and for nodes' disks. The stores and the bucket have Google's: their service
# agents come into being with the first of their kind, too late for a key to be granted to them.
resource "google_kms_key_ring" "this" {
  project  = var.project_id
  name     = var.name
  location = var.region

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "this" {
  for_each = toset(["secrets", "disks"])

  name            = each.key
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s"
  labels          = local.labels
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = {
    secrets = "service-${local.number}@container-engine-robot.iam.gserviceaccount.com"
    disks   = "service-${local.number}@compute-system.iam.gserviceaccount.com"
  }

  crypto_key_id = google_kms_crypto_key.this[each.key].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
