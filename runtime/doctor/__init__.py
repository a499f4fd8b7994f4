"""Looks at a device, and says for each fault how it is mended."""
