"""The demo's run, whose files other tests use too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.end_to_end.commands import run


@dataclass(frozen=True)
class Demo:
    """What ``samples/demo.py PHOTOS`` made in a folder, and what it said."""

    folder: Path
    photos: Path
    done: subprocess.CompletedProcess[str]

    @property
    def bundle(self) -> Path:
        return self.folder / "demo" / f"model-{self.photos.name}"

    def file(self, kind: str) -> Path:
        """The exported file of a kind."""
        return self.bundle / "export" / f"{self.photos.name}_{kind}.tflite"

    def again(self) -> subprocess.CompletedProcess[str]:
        """Run it once more."""
        return run(sys.executable, ROOT / "samples" / "demo.py", self.photos, cwd=self.folder)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    if shutil.which("toolkit", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("the project is not installed in this environment: pip install -e .")
    from toolkit.sample_data import draw_shapes

    folder = tmp_path_factory.mktemp("demo")
    photos = tmp_path_factory.mktemp("photos") / "my-photos"
    draw_shapes(photos, count=30, seed=0)
    done = run(sys.executable, ROOT / "samples" / "demo.py", photos, cwd=folder)
    return Demo(folder, photos, done)
