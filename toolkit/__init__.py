"""Looks at data, trains, evaluates; holds the ``toolkit`` command."""
