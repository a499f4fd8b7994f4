"""Options that several subcommands of ``runtime`` share."""
