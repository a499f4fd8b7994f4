"""The subcommands of ``runtime``, one module each."""
