"""The `odvae` command: one file for each subcommand, with `run_NAME(options) -> Result`."""
