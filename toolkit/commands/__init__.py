"""The subcommands of ``toolkit``: parse, one library call, print."""
