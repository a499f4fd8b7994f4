"""Stands for kms++, the display library that picamera2 imports for its previews; no preview is ever shown here."""

from types import SimpleNamespace

_FORMATS = ("RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUV420", "YVU420", "NV12", "NV21", "YUYV", "YVYU", "UYVY")
PixelFormat = SimpleNamespace(**dict.fromkeys((*_FORMATS, "VYUY", "MJPEG"), 0))
