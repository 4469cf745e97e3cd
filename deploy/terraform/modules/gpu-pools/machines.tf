# What the clouds sell: accelerator -> GPUs of a machine -> its type, processors and memory in GiB.
locals {
  machines = {
    aws = {
      l4 = {
        "1" = { type = "g6.2xlarge", cpus = 8, memory = 32 }
        "4" = { type = "g6.12xlarge", cpus = 48, memory = 192 }
        "8" = { type = "g6.48xlarge", cpus = 192, memory = 768 }
      }
      a100 = {
        "8" = { type = "p4d.24xlarge", cpus = 96, memory = 1152 }
      }
      h100 = {
        "1" = { type = "p5.4xlarge", cpus = 16, memory = 256 }
        "8" = { type = "p5.48xlarge", cpus = 192, memory = 2048 }
      }
    }
    gcp = {
      l4 = {
        "1" = { type = "g2-standard-8", cpus = 8, memory = 32 }
        "2" = { type = "g2-standard-24", cpus = 24, memory = 96 }
        "4" = { type = "g2-standard-48", cpus = 48, memory = 192 }
        "8" = { type = "g2-standard-96", cpus = 96, memory = 384 }
      }
      a100 = {
        "1" = { type = "a2-highgpu-1g", cpus = 12, memory = 85 }
        "2" = { type = "a2-highgpu-2g", cpus = 24, memory = 170 }
        "4" = { type = "a2-highgpu-4g", cpus = 48, memory = 340 }
        "8" = { type = "a2-highgpu-8g", cpus = 96, memory = 680 }
      }
      h100 = {
        "1" = { type = "a3-highgpu-1g", cpus = 26, memory = 234 }
        "2" = { type = "a3-highgpu-2g", cpus = 52, memory = 468 }
        "4" = { type = "a3-highgpu-4g", cpus = 104, memory = 936 }
        "8" = { type = "a3-highgpu-8g", cpus = 208, memory = 1872 }
      }
    }
  }

  # As each cloud spells them in the label by which its autoscaler knows GPU nodes.
  accelerator_names = {
    aws = { l4 = "nvidia-l4", a100 = "nvidia-a100", h100 = "nvidia-h100" }
    gcp = { l4 = "nvidia-l4", a100 = "nvidia-tesla-a100", h100 = "nvidia-h100-80gb" }
  }

  offers  = lookup(local.machines, var.cloud, {})
  offered = join("; ", [for accelerator, sizes in local.offers : "${accelerator} by ${join(", ", keys(sizes))}"])
}
