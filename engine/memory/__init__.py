"""What models take of the device's and the host's memory, and who leaves so that another fits."""
