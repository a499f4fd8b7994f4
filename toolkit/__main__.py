"""``python -m toolkit``: the ``toolkit`` command without its script."""

from __future__ import annotations

from toolkit.cli import main

raise SystemExit(main())
