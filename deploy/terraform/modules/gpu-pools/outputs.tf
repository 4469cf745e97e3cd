output "nodes" {
  description = "What a cloud makes node groups of, by pool: the pool's own settings with machine_type, accelerator_name, labels and taint."
  value       = local.nodes
}

output "chart_pools" {
  description = "The same pools as the chart's `pools` value: engines (one per GPU) where a pool has nodes, with selectors, tolerations and resources."
  value       = local.chart_pools
}
