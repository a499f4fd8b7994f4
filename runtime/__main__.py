"""``python -m runtime``: the ``runtime`` command without its script."""

from __future__ import annotations

from runtime.cli import main

raise SystemExit(main())
