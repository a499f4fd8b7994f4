"""The kind of model that only ``toolkit predict`` takes; ``converters.inputs`` has the others."""
