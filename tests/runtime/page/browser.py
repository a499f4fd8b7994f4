"""A headless Chromium, driven over WebDriver's own HTTP interface, with nothing to install in Python."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

#: Debian: ``apt install chromium chromium-driver``.
DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
# WebDriver's name for the id of an element: https://www.w3.org/TR/webdriver2/#elements
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One browser window.

    Args:
        folder: for its profile.
        dark: whether it prefers dark pages.
    """

    def __init__(self, folder: Path, *, dark: bool = False) -> None:
        assert DRIVER
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._driver.stdout is not None
        line = next(line for line in self._driver.stdout if "successfully on port" in line)
        self._base = f"http://127.0.0.1:{line.rstrip().rstrip('.').rpartition(' ')[2]}"
        arguments = [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}", *(["--force-dark-mode"] * dark)]
        options = {"args": arguments, "binary": CHROMIUM}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]
        self._base += f"/session/{session}"

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        """Go to a page."""
        self._ask("POST", "/url", {"url": url})

    def url(self) -> str:
        """Where it is."""
        return str(self._ask("GET", "/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that a piece of JavaScript returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        """What an element shows."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def wait(self, script: str, seconds: float = 20) -> Any:
        """The value of a script, as soon as it is true."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"never true: {script}; the page shows: {self.text('body')}"
            time.sleep(0.1)
        return value

    def type_into(self, selector: str, text: str) -> None:
        """Type a text, or the path of a file into a file chooser."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._ask("POST", f"/element/{element}/click", {})

    def resize(self, width: int, height: int) -> None:
        """Give the page this many CSS pixels, as on a phone, say."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        self._ask("POST", "/goog/cdp/execute", command)

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """What has been said on the console since the last call: faults of scripts, things that were refused."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def close(self) -> None:
        """End it."""
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.communicate(timeout=20)
