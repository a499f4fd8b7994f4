"""One self-contained HTML page, and metrics, on what a model does with pictures whose classes are known."""
