variables {
  cloud = "aws"
  pools = { l4 = { accelerator = "l4" } }
}

run "a_pool_rests_at_zero_unless_told_otherwise" {
  assert {
    condition     = output.nodes["l4"].min == 0 && output.chart_pools["l4"].min == 0
    error_message = "A pool with no min must rest at zero."
  }
  assert {
    condition     = output.nodes["l4"].machine_type == "g6.2xlarge" && output.nodes["l4"].spot == false
    error_message = "One L4 on AWS is a g6.2xlarge, on demand."
  }
}

run "selectors_tolerations_and_limits_agree_with_labels_and_taints" {
  variables {
    pools = {
      l4       = { accelerator = "l4", max = 3 }
      h100-big = { accelerator = "h100", gpus = 8, max = 2, disk = 2000 }
    }
  }
  assert {
    condition = alltrue([
      for name, pool in output.chart_pools : alltrue([
        for label, value in pool.nodeSelector : output.nodes[name].labels[label] == value
      ])
    ])
    error_message = "A selector asks for a label that the nodes do not have."
  }
  assert {
    condition = alltrue([
      for name, pool in output.chart_pools : anytrue([
        for toleration in pool.tolerations :
        toleration.key == output.nodes[name].taint.key && toleration.effect == output.nodes[name].taint.effect && toleration.operator == "Exists"
      ])
    ])
    error_message = "Engines do not tolerate the taint of their nodes."
  }
  assert {
    condition     = alltrue([for pool in values(output.chart_pools) : pool.resources.limits["nvidia.com/gpu"] == "1"])
    error_message = "An engine takes one GPU."
  }
  assert {
    condition     = alltrue([for pool in values(output.chart_pools) : pool.resources.limits.memory == pool.resources.requests.memory])
    error_message = "Engines may use the memory that they reserve, no more."
  }
}

run "nodes_of_many_gpus_run_as_many_engines" {
  variables {
    pools = { h100 = { accelerator = "h100", gpus = 8, min = 1, max = 2, disk = 2060 } }
  }
  assert {
    condition     = output.chart_pools["h100"].min == 8 && output.chart_pools["h100"].max == 16
    error_message = "A node of eight GPUs runs eight engines."
  }
  assert {
    condition     = output.chart_pools["h100"].resources.requests.cpu == "23" && output.chart_pools["h100"].resources.requests.memory == "229Gi"
    error_message = "Eight engines share 192 processors and 2048 GiB, less what the system keeps."
  }
  assert {
    condition     = output.chart_pools["h100"].cacheSize == "250Gi"
    error_message = "Eight engines share the disk, less what images keep."
  }
}

run "the_same_pools_on_google" {
  variables {
    cloud = "gcp"
    pools = {
      l4   = { accelerator = "l4", gpus = 2 }
      a100 = { accelerator = "a100" }
      h100 = { accelerator = "h100", spot = true }
    }
  }
  assert {
    condition = { for name, node in output.nodes : name => [node.machine_type, node.accelerator_name] } == {
      l4   = ["g2-standard-24", "nvidia-l4"]
      a100 = ["a2-highgpu-1g", "nvidia-tesla-a100"]
      h100 = ["a3-highgpu-1g", "nvidia-h100-80gb"]
    }
    error_message = "Google's names of machines and accelerators are wrong."
  }
}

run "no_pools_are_no_error" {
  variables {
    pools = {}
  }
  assert {
    condition     = length(output.nodes) == 0 && length(output.chart_pools) == 0
    error_message = "Nothing came out of nothing."
  }
}

run "an_unknown_cloud_is_refused" {
  command = plan
  variables {
    cloud = "azure"
    pools = {}
  }
  expect_failures = [var.cloud]
}

run "an_unknown_accelerator_is_refused" {
  command = plan
  variables {
    pools = { b200 = { accelerator = "b200" } }
  }
  expect_failures = [var.pools]
}

run "a_number_of_gpus_that_is_not_sold_is_refused" {
  command = plan
  variables {
    pools = { a100 = { accelerator = "a100", gpus = 1 } }
  }
  expect_failures = [var.pools]
}

run "a_name_that_kubernetes_would_refuse_is_refused" {
  command = plan
  variables {
    pools = { "L4_pool" = { accelerator = "l4" } }
  }
  expect_failures = [var.pools]
}

run "the_name_of_the_system_nodes_is_refused" {
  command = plan
  variables {
    pools = { system = { accelerator = "l4" } }
  }
  expect_failures = [var.pools]
}

run "more_warm_nodes_than_there_may_be_are_refused" {
  command = plan
  variables {
    pools = { l4 = { accelerator = "l4", min = 2, max = 1 } }
  }
  expect_failures = [var.pools]
}

run "half_a_node_is_refused" {
  command = plan
  variables {
    pools = { l4 = { accelerator = "l4", max = 1.5 } }
  }
  expect_failures = [var.pools]
}

run "a_disk_without_room_for_models_is_refused" {
  command = plan
  variables {
    pools = { l4 = { accelerator = "l4", disk = 20 } }
  }
  expect_failures = [var.pools]
}

run "single_h100s_on_demand_are_refused_on_google" {
  command = plan
  variables {
    cloud = "gcp"
    pools = { h100 = { accelerator = "h100" } }
  }
  expect_failures = [var.pools]
}
