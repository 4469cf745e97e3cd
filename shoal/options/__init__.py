"""The options that commands share, by what they are about. Each can come as a `SHOAL_…` variable too."""
