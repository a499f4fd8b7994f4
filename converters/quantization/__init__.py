"""Ways to int8 that keep accuracy."""
