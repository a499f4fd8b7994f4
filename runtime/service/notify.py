"""Tells systemd that the service is ready and alive: sd_notify's protocol.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Messages to the service manager; outside a service it does nothing.

    Args:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked up.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._interval = _watchdog_seconds(environment) / 2
        self._beaten_at: float | None = None

    def ready(self, status: str) -> None:
        """The service has started; ``status`` is what ``systemctl status`` shows."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def beat(self) -> None:
        """The loop is turning. To be called at every turn: it is passed on twice in the watchdog's time."""
        now = time.monotonic()
        # Its clock begins with the device: 0 for "never" would be a beat just after a start.
        if self._interval and (self._beaten_at is None or now - self._beaten_at >= self._interval):
            self._beaten_at = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends by itself or was told to."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
            return
        # An abstract address begins with a NUL, which no variable can hold.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode("utf-8", "replace"), address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Within how many seconds a beat is expected; 0 for never."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0  # meant for another process
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() else 0.0


def _line(text: str) -> str:
    return " ".join(text.split())
