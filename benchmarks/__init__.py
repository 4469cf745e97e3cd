"""What is measured: the load generator, the peers in the same run, and results/ with machine, command and date."""
