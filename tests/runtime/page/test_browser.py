"""The page in a real browser: what it shows of a camera, a picture of one's own, the token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.page.live import Live
from tests.runtime.page.browser import CHROMIUM, DRIVER, Browser
from tests.runtime.page.conftest import Served, seen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"),
]
TOKEN = "a-token-that-is-long"
DROP = """
const box = document.createElement("canvas");
box.width = box.height = 16;
const pen = box.getContext("2d");
pen.fillStyle = "rgb(0, 255, 0)";
pen.fillRect(0, 0, 16, 16);
box.toBlob((blob) => {
  const things = new DataTransfer();
  things.items.add(new File([blob], "<b>leaf</b>.png", { type: "image/png" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: things, bubbles: true, cancelable: true }));
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    one = Browser(tmp_path_factory.mktemp("browser"))
    try:
        yield one
    finally:
        one.close()


class Camera:
    """Feeds a page with frames, as a camera's loop would.

    Args:
        live: of the page.
    """

    def __init__(self, live: Live | None) -> None:
        assert live is not None
        self._live, self.label, self.running = live, "red", True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        before, number = "", 0
        while self.running:
            self._live.handle(seen(number, self.label, changed=self.label != before))
            before, number = self.label, number + 1
            time.sleep(0.03)

    def end(self) -> None:
        """No more frames."""
        self.running = False
        self._thread.join()


def test_a_camera(serve: Callable[..., Served], browser: Browser, tmp_path: Path) -> None:
    served = serve(camera=True, viewers=1)
    camera = Camera(served.live)
    browser.complaints()
    browser.resize(1280, 900)
    browser.open(f"http://localhost:{served.port}/")
    browser.wait("return document.querySelector('#answer').innerText === 'red'")
    browser.wait("return document.querySelector('#picture').naturalWidth === 64")
    assert browser.text("#scores .score") == "90.0 %"
    assert browser.text("#camera") == "Camera 0"
    camera.label = "green"
    browser.wait("return document.querySelector('#answer').innerText === 'green'")
    browser.wait("return document.querySelectorAll('#changes li').length === 2")
    assert browser.text("#state") == "live"
    assert float(browser.text("#fps")) > 1
    assert "3.0 ms" in browser.text("#stages")
    for width in (1280, 390):
        browser.resize(width, 844)
        time.sleep(0.3)
        assert browser.run("return document.documentElement.scrollWidth") <= width
        browser.screenshot(tmp_path / f"{width}.png")
        assert (tmp_path / f"{width}.png").stat().st_size > 10_000
    camera.end()
    browser.wait("return document.querySelector('#state').innerText === 'silent'")
    assert "Last picture" in browser.text("#silence")
    assert browser.complaints() == []


def test_when_the_page_is_left_its_place_is_free(serve: Callable[..., Served], browser: Browser) -> None:
    served = serve(camera=True, viewers=1)
    camera = Camera(served.live)
    browser.open(f"http://localhost:{served.port}/")
    browser.wait("return document.querySelector('#state').innerText === 'live'")
    browser.open(f"http://localhost:{served.port}/?again")
    browser.wait("return document.querySelector('#state').innerText === 'live'")
    browser.open("about:blank")
    until = time.monotonic() + 20
    while served.site.status()["viewers"]["now"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    camera.end()


def test_a_picture_of_ones_own(serve: Callable[..., Served], browser: Browser, tmp_path: Path, green: bytes) -> None:
    served = serve()
    browser.complaints()
    browser.open(f"http://localhost:{served.port}/")
    browser.wait("return document.querySelector('#state').innerText === 'ready'")
    (tmp_path / "green.png").write_bytes(green)
    browser.type_into("#file", str(tmp_path / "green.png"))
    browser.wait("return document.querySelector('#dropped .answer').innerText === '緑 grün'")
    browser.run(DROP)
    browser.wait("return document.querySelectorAll('#dropped > li').length === 2")
    browser.wait("return document.querySelector('#dropped .answer').innerText === '緑 grün'")
    assert browser.text("#dropped .name").startswith("<b>leaf</b>.png, ")
    assert browser.run("return document.querySelector('#dropped img').naturalWidth") == 16
    assert len(browser.run("return [...document.querySelectorAll('#dropped > li:first-child .scores li')]")) == 3
    assert browser.complaints() == []
    (tmp_path / "note.txt").write_bytes(b"no picture")
    browser.type_into("#file", str(tmp_path / "note.txt"))
    browser.wait("return document.querySelector('#dropped .error')")
    assert "not a picture" in browser.text("#dropped .error")


def test_the_token(serve: Callable[..., Served], browser: Browser) -> None:
    served = serve(token=TOKEN, camera=True)
    camera = Camera(served.live)
    browser.open(f"http://localhost:{served.port}/")
    assert browser.text("h1") == "Who is there?"
    browser.type_into("[name=token]", "wrong")
    browser.click("button")
    browser.wait("return !document.querySelector('.wrong').hidden")
    browser.type_into("[name=token]", TOKEN)
    browser.click("button")
    browser.wait("return document.querySelector('#answer')?.innerText === 'red'")
    assert browser.url() == f"http://localhost:{served.port}/"
    assert browser.run("return document.cookie") == ""
    camera.end()


def test_the_device_goes_away_and_comes_back(serve: Callable[..., Served], browser: Browser) -> None:
    served = serve(camera=True)
    camera = Camera(served.live)
    browser.open(f"http://localhost:{served.port}/")
    browser.wait("return document.querySelector('#state').innerText === 'live'")
    with served.server._guard:
        open_now = list(served.server._open)
    for connection in open_now:
        served.server.shutdown_request(connection)
    browser.wait("return document.querySelector('#state').innerText !== 'live'")
    browser.wait("return document.querySelector('#state').innerText === 'live'")
    camera.end()
