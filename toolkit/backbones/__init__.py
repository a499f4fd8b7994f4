"""Backbones: what they are, where their weights come from, how they are built."""
