"""What the `odvae` command does, one file a command: each has `run(options) -> Result`."""
