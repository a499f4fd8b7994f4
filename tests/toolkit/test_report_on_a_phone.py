"""report.html at 390 pixels, in Chromium where there is one: no table runs over the edge, no word is broken."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.toolkit.conftest import Trained

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
# In the page: the width of each table over that of its box, and words of the first column that do not fit into it.
MEASURE = """<script>addEventListener("load", () => {
  const wide = [], broken = [], probe = document.createElement("span");
  probe.style.cssText = "position:absolute;white-space:nowrap";
  for (const box of document.querySelectorAll(".scroll")) {
    const name = box.closest("section").id;
    if (box.scrollWidth > box.clientWidth) wide.push(name);
    for (const cell of box.querySelectorAll(".data tbody th")) {
      const style = getComputedStyle(cell);
      probe.style.font = style.font;
      document.body.appendChild(probe);
      for (const word of cell.textContent.trim().split(/\\s+/)) {
        probe.textContent = word;
        const room = cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        if (probe.offsetWidth > room + 1) broken.push(name + ": " + word);
      }
      probe.remove();
    }
  }
  parent.postMessage(JSON.stringify({page: document.documentElement.scrollWidth, wide, broken}), "*");
})</script>"""
# Browsers without a screen are at least 500 pixels wide; a frame need not be.
FRAME = """<title></title><script>addEventListener("message", event => document.title = event.data)</script>
<iframe src="page.html" style="width:390px;height:2000px;border:0"></iframe>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_every_table_fits(trained: Trained, tmp_path: Path) -> None:
    page = (trained.result.folder / "report.html").read_text("utf-8")
    assert "temperature scaling" in page and "Pictures of classes that the head never saw" in page
    # A wide font and a long word: what fits with these fits with what a phone has.
    page = page.replace(">triangle<", ">sunflowers<").replace("font: 15px/1.5 ", 'font: 15px/1.5 "DejaVu Sans", ')
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{MEASURE}</body>"), "utf-8")
    (tmp_path / "frame.html").write_text(FRAME, "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    words = [str(BROWSER), *options, "--virtual-time-budget=5000", (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=120, check=False)
    title = re.search("<title>(.+?)</title>", done.stdout)
    if title is None:
        pytest.skip(f"{BROWSER} does not run here")
    assert json.loads(html.unescape(title[1])) == {"page": 390, "wide": [], "broken": []}
