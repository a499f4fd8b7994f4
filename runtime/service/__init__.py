"""As a systemd service."""
