"""Runs on the device: numpy, Pillow and a TFLite interpreter."""
