"""The wheel that holds ``runtime`` alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.environments import run_or_skip


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell is here")
def test_it_holds_the_runtime_alone_and_classifies(
    tmp_path: Path, colours: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    run_or_skip([str(ROOT / "samples" / "device_wheel.sh"), str(tmp_path / "wheel")])
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names} == {"runtime", info}
    of_ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "runtime").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("runtime/")} == {
        name for name in of_ours if "__pycache__" not in name
    }
    assert wheel.stat().st_size < 1_000_000
    commands = (tmp_path / "site" / info / "entry_points.txt").read_text().split("\n")
    assert [line for line in commands if "=" in line] == ["runtime = runtime.__main__:main"]
    metadata = Parser().parsestr((tmp_path / "site" / info / "METADATA").read_text("utf-8"))
    assert metadata["Name"] == "edge-export-toolkit"
    assert set(metadata.get_all("Provides-Extra", [])) == {"camera", "mqtt", "gpio"}
    done = subprocess.run(
        [sys.executable, "-m", "runtime", "classify", "--model", str(colours), str(photos / "red.png")],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "red" in done.stdout
