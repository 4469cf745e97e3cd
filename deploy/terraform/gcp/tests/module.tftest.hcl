mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "mock@shoal-project.iam.gserviceaccount.com", name = "projects/shoal-project/serviceAccounts/mock@shoal-project.iam.gserviceaccount.com" }
  }
  mock_resource "google_redis_instance" {
    defaults = {
      host            = "10.100.0.3"
      port            = 6378
      auth_string     = "a-password-of-memorystore"
      server_ca_certs = [{ cert = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", create_time = "", expire_time = "", serial_number = "", sha1_fingerprint = "" }]
    }
  }
  mock_resource "google_sql_database_instance" {
    defaults = { private_ip_address = "10.100.0.2" }
  }
  mock_resource "google_compute_global_address" {
    defaults = { address = "10.100.0.0" }
  }
}

variables {
  project_id = "shoal-project"
  region     = "europe-west4"
  gpu_pools = {
    l4   = { accelerator = "l4", gpus = 2, min = 1, max = 4, zones = ["europe-west4-b"] }
    h100 = { accelerator = "h100", max = 2, disk = 500, spot = true }
  }
}

run "gpu_pools_rest_at_zero_nodes" {
  assert {
    condition = alltrue([
      for pool in values(google_container_node_pool.gpu) :
      pool.initial_node_count == 0 && pool.autoscaling[0].total_min_node_count == 0 && pool.autoscaling[0].location_policy == "ANY"
    ])
    error_message = "A GPU node pool starts with nodes, or looks for them in one zone only."
  }
  assert {
    condition     = { for name, pool in google_container_node_pool.gpu : name => pool.autoscaling[0].total_max_node_count } == { l4 = 4, h100 = 2 }
    error_message = "A GPU node pool grows to another size than its pool's."
  }
  assert {
    condition     = { for name, pool in google_container_node_pool.gpu : name => pool.node_config[0].spot } == { l4 = false, h100 = true }
    error_message = "Spot is a pool's own choice."
  }
  assert {
    condition     = google_container_node_pool.gpu["l4"].node_locations == toset(["europe-west4-b"])
    error_message = "A pool with zones has nodes in these alone."
  }
}

run "nodes_have_their_gpus_and_the_driver" {
  assert {
    condition = { for name, pool in google_container_node_pool.gpu : name => "${pool.node_config[0].machine_type} ${pool.node_config[0].guest_accelerator[0].count} ${pool.node_config[0].guest_accelerator[0].type}" } == {
      l4   = "g2-standard-24 2 nvidia-l4"
      h100 = "a3-highgpu-1g 1 nvidia-h100-80gb"
    }
    error_message = "A machine and its GPUs do not go together."
  }
  assert {
    condition = alltrue([
      for pool in values(google_container_node_pool.gpu) :
      pool.node_config[0].guest_accelerator[0].gpu_driver_installation_config[0].gpu_driver_version == "LATEST"
    ])
    error_message = "Nobody installs the driver."
  }
}

run "pools_have_one_name_in_nodes_and_chart" {
  assert {
    condition     = keys(yamldecode(output.helm_values).pools) == keys(google_container_node_pool.gpu)
    error_message = "The chart's pools are not the cluster's."
  }
  assert {
    condition = alltrue([
      for name, pool in yamldecode(output.helm_values).pools : alltrue([
        for label, value in pool.nodeSelector : google_container_node_pool.gpu[name].node_config[0].labels[label] == value
      ])
    ])
    error_message = "Engines select nodes that their pool does not have."
  }
  assert {
    condition = alltrue([
      for name, pool in yamldecode(output.helm_values).pools :
      [for taint in google_container_node_pool.gpu[name].node_config[0].taint : taint.key] == [for toleration in pool.tolerations : toleration.key]
    ])
    error_message = "Engines do not tolerate the taints of their nodes."
  }
  assert {
    condition     = yamldecode(output.helm_values).pools.l4.min == 2 && yamldecode(output.helm_values).pools.l4.max == 8
    error_message = "The chart counts engines: one per GPU."
  }
}

run "the_chart_trusts_memorystore_and_reaches_the_stores" {
  assert {
    condition     = strcontains(yamldecode(output.helm_values).gateway.trustedAuthorities, "BEGIN CERTIFICATE")
    error_message = "The gateway would not believe Memorystore's certificate."
  }
  assert {
    condition = (
      yamldecode(output.helm_values).networkPolicy.redis.port == 6378 &&
      yamldecode(output.helm_values).networkPolicy.database.cidrs == ["10.100.0.0/20"]
    )
    error_message = "Network policies would keep the gateway from its stores."
  }
  assert {
    condition     = yamldecode(output.helm_values).engine.serviceAccount.annotations["iam.gke.io/gcp-service-account"] == google_service_account.pod["engine"].email
    error_message = "Engines are not who may read the bucket."
  }
}

run "the_api_is_private_by_default" {
  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_endpoint && google_container_cluster.this.private_cluster_config[0].enable_private_nodes
    error_message = "The cluster's API is on the internet."
  }
  assert {
    condition     = length(google_container_cluster.this.master_authorized_networks_config[0].cidr_blocks) == 0
    error_message = "The API answers to others than were named."
  }
  assert {
    condition     = !google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled
    error_message = "The database is on the internet."
  }
}

run "the_api_opens_to_named_networks_alone" {
  variables {
    public_access_cidrs = ["198.51.100.7/32"]
  }
  assert {
    condition     = !google_container_cluster.this.private_cluster_config[0].enable_private_endpoint
    error_message = "The API does not open."
  }
  assert {
    condition     = [for block in google_container_cluster.this.master_authorized_networks_config[0].cidr_blocks : block.cidr_block] == ["198.51.100.7/32"]
    error_message = "The API answers to others than were named."
  }
}

run "the_whole_internet_is_refused" {
  command = plan
  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.public_access_cidrs]
}

run "what_is_kept_is_encrypted_and_protected" {
  assert {
    condition     = google_container_cluster.this.database_encryption[0].state == "ENCRYPTED" && google_container_cluster.this.deletion_protection
    error_message = "The cluster keeps secrets in clear, or can be lost."
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "The database can be lost, or speaks in clear."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].availability_type == "REGIONAL" && google_redis_instance.this.tier == "STANDARD_HA"
    error_message = "The stores do not stand by."
  }
  assert {
    condition     = google_redis_instance.this.auth_enabled && google_redis_instance.this.transit_encryption_mode == "SERVER_AUTHENTICATION" && google_redis_instance.this.redis_configs["maxmemory-policy"] == "noeviction"
    error_message = "Redis lets anybody in, speaks in clear, or may evict quotas."
  }
  assert {
    condition     = !google_storage_bucket.models.force_destroy && google_storage_bucket.models.public_access_prevention == "enforced"
    error_message = "The bucket can be lost, or be public."
  }
}

run "secrets_are_long_differ_and_stay_out_of_the_values" {
  assert {
    condition     = alltrue([for secret in values(terraform_data.secret) : can(regex("^[0-9a-f]{64}$", secret.triggers_replace))])
    error_message = "A secret is not 64 hexadecimal digits."
  }
  assert {
    condition     = length(distinct([for secret in values(terraform_data.secret) : nonsensitive(secret.triggers_replace)])) == 5
    error_message = "Secrets repeat."
  }
  assert {
    condition     = alltrue([for secret in values(terraform_data.secret) : !strcontains(output.helm_values, nonsensitive(secret.triggers_replace))]) && !strcontains(output.helm_values, "a-password-of-memorystore")
    error_message = "A secret is among the chart's values."
  }
  assert {
    condition = toset(keys(jsondecode(nonsensitive(google_secret_manager_secret_version.this.secret_data)))) == toset([
      "SHOAL_DATABASE_URL", "SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_REDIS_URL", "SHOAL_SECRET_KEY", "SHOAL_SESSION_KEY",
    ])
    error_message = "The secret does not have the program's variables."
  }
}

run "no_reader_of_secrets_unless_named" {
  assert {
    condition     = length(google_secret_manager_secret_iam_member.reader) == 0
    error_message = "Somebody reads the secret unasked."
  }
}

run "a_named_reader_of_secrets_reads_this_one" {
  variables {
    secret_reader = "external-secrets/external-secrets"
  }
  assert {
    condition     = google_service_account_iam_member.pod["secrets"].member == "serviceAccount:shoal-project.svc.id.goog[external-secrets/external-secrets]"
    error_message = "The reader of secrets is somebody else."
  }
  assert {
    condition     = google_secret_manager_secret_iam_member.reader["secrets"].role == "roles/secretmanager.secretAccessor"
    error_message = "The reader of secrets may do something else."
  }
}

run "wrong_words_are_refused" {
  command = plan
  variables {
    project_id           = "Shoal"
    name                 = "Shoal"
    zones                = ["us-central1-a"]
    node_cidr            = "here"
    pod_cidr             = "10.64.0.0/24"
    service_cidr         = "there"
    control_plane_cidr   = "10.0.0.0/24"
    release_channel      = "SOON"
    private_access_cidrs = ["everyone"]
    namespace            = "Shoal"
    secret_reader        = "reader"
    system_nodes         = { min = 0 }
    database             = { version = "9" }
    redis                = { memory = 0 }
    model_bucket         = { noncurrent_days = 0 }
    gpu_pools            = { l4 = { accelerator = "l4", zones = ["us-central1-a"] } }
  }
  expect_failures = [
    var.project_id, var.name, var.zones, var.node_cidr, var.pod_cidr, var.service_cidr, var.control_plane_cidr, var.release_channel,
    var.private_access_cidrs, var.namespace, var.secret_reader, var.system_nodes, var.database, var.redis, var.model_bucket, var.gpu_pools,
  ]
}

run "a_word_that_is_no_region_is_refused" {
  command = plan
  variables {
    region    = "Europe"
    gpu_pools = {}
  }
  expect_failures = [var.region]
}
