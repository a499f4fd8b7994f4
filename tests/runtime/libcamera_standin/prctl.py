"""Stands for python-prctl, which picamera2 imports to record through ffmpeg; nothing is recorded here."""
