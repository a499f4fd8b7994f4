"""A camera's server as a process of its own: a stream of JPEGs over HTTP that can die, stall, or send rubbish.

Run as ``python mjpeg_server.py PORT MODE``; it prints its port when it listens.
"""

from __future__ import annotations

import http.server
import io
import sys
import threading
import time
from collections.abc import Iterator

from PIL import Image

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=95)
    return file.getvalue()


def frames(mode: str) -> Iterator[bytes]:
    """What is sent as the pictures: red, green, blue, and again; ``b""`` stands for silence for ever."""
    for number in range(10_000):
        picture = jpeg(COLOURS[number % 3])
        if mode == "stall" and number == 10:
            yield b""
        if mode == "ends" and number == 10:
            return
        if mode == "damaged" and number % 3 == 1:
            picture = picture[: len(picture) // 2]
        if mode == "rubbish":
            picture = b"\xff\xd8" + bytes(number % 251 for _ in range(500))
        if mode == "black":
            picture = jpeg((0, 0, 0))
        yield picture


class Camera(http.server.BaseHTTPRequestHandler):
    mode = "steady"
    seconds = 0.02

    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(60)
        if self.path == "/still.jpg":
            self._answer("image/jpeg", jpeg(COLOURS[0]))
        elif self.path == "/page":
            self._answer("text/html", b"<html>")
        else:
            self._stream()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for picture in frames(self.mode):
                if not picture:
                    time.sleep(60)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                time.sleep(self.seconds)
        except OSError:  # nobody looks any more
            pass

    def log_message(self, *_arguments: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, mode: str = "steady", port: int = 0) -> None:
        handler = type("Handler", (Camera,), {"mode": mode})
        super().__init__(("127.0.0.1", port), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/stream.mjpg"


if __name__ == "__main__":
    server = Server(sys.argv[2], int(sys.argv[1]))
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    time.sleep(600)
