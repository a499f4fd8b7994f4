"""What a canvas of a real browser makes of pictures: headless Chromium draws them and hands the pixels back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

#: Ways to draw: from what, and with which ``imageSmoothingQuality``; "low" is what a page gets that says nothing
#: (https://html.spec.whatwg.org/multipage/canvas.html#image-smoothing). An ``<img>`` is decoded as it is drawn, an
#: ImageBitmap is there in full size.
WAYS = (("img", "low"), ("img", "high"), ("bitmap", "low"), ("bitmap", "high"))
# Seconds without a word from the page after which it is given up.
_PATIENCE = 60.0
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
# Transparency lies on white, as in runtime.images; drawImage turns pictures upright by itself.
_PAGE = """<!DOCTYPE html><title>canvas</title><script>
async function draw(count, width, height, ways) {
  for (let number = 0; number < count; number++) {
    const sources = {img: new Image()};
    sources.img.src = `/picture/${number}`;
    try {
      await sources.img.decode();
      sources.bitmap = await createImageBitmap(sources.img);
    } catch { continue; }
    for (const [source, quality] of ways) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext("2d");
      context.fillStyle = "white";
      context.fillRect(0, 0, width, height);
      context.imageSmoothingQuality = quality;
      context.drawImage(sources[source], 0, 0, width, height);
      const body = context.getImageData(0, 0, width, height).data;
      await fetch(`/pixels/${number}/${source}/${quality}`, {method: "POST", body});
    }
  }
  await fetch("/done", {method: "POST"});
}
draw(ARGUMENTS);
</script>"""


def find_browser() -> tuple[str, str] | None:
    """Path and version of Chromium; None where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            return path, said.strip()
    return None


def draw(browser: str, pictures: Sequence[tuple[str, Path]], width: int, height: int, folder: Path) -> None:
    """Draw each picture on a canvas in each of ``WAYS``; what comes out is written to ``pixels_file``.

    Args:
        browser: path of the program.
        pictures: name and path of each; one that the browser cannot open gets no file.
        width: of the canvas.
        height: of the canvas.
        folder: for the files.
    """
    server = _Server(pictures, width, height, folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = f"http://127.0.0.1:{server.server_port}/"
        command = [browser, *_FLAGS, f"--user-data-dir={profile}", address]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not server.done.wait(0.2):
                if process.poll() is not None or time.monotonic() - server.heard > _PATIENCE:
                    raise SystemExit(f"{browser} ended or fell silent before all pictures were drawn")
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()


def pixels_file(folder: Path, name: str, source: str, quality: str) -> Path:
    """Where the pixels of a picture are: uint8 (height, width, 3), RGB, as ``numpy.load`` reads them."""
    return folder / f"{name}-{source}-{quality}.npy"


class _Server(ThreadingHTTPServer):
    """Serves one page and its pictures on loopback, and takes pixels."""

    def __init__(self, pictures: Sequence[tuple[str, Path]], width: int, height: int, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pictures = pictures
        self.shape = (height, width, 4)
        self.folder = folder
        arguments = json.dumps([len(pictures), width, height, WAYS])[1:-1]
        self.page = _PAGE.replace("ARGUMENTS", arguments).encode()
        self.done = threading.Event()
        self.heard = time.monotonic()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        found = re.fullmatch(r"/picture/(\d+)", self.path)
        if self.path == "/":
            self._answer(self.server.page, "text/html")
        elif found:
            self._answer(self.server.pictures[int(found[1])][1].read_bytes(), "application/octet-stream")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        found = re.fullmatch(r"/pixels/(\d+)/(\w+)/(\w+)", self.path)
        if found:
            pixels = np.frombuffer(data, np.uint8).reshape(self.server.shape)[:, :, :3]
            name = self.server.pictures[int(found[1])][0]
            np.save(pixels_file(self.server.folder, name, found[2], found[3]), pixels)
        self._answer(b"", "text/plain")
        if not found:  # the last word; the browser is ended on it
            self.server.done.set()

    def _answer(self, content: bytes, kind: str) -> None:
        self.server.heard = time.monotonic()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the benchmark prints a table."""
