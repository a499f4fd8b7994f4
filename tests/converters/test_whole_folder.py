from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from converters.whole_folder import scratch_folder
from runtime.errors import ModelError

PREFIX = ".convert-"
WAITING = """
import sys, time
from collections.abc import Iterator
from pathlib import Path
from converters.whole_folder import scratch_folder
with scratch_folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "half.tflite").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of its work in a scratch folder."""
    command = [sys.executable, "-c", WAITING, str(tmp_path), PREFIX]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_scratch_folder_goes_with_its_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, PREFIX) as folder:
        (folder / "x").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_living_process_is_left_alone(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with scratch_folder(tmp_path, PREFIX):
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in tmp_path.glob(f"{PREFIX}*/*")] == ["half.tflite"]


def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "somebody's").mkdir()
    with scratch_folder(tmp_path, PREFIX) as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "somebody's"])


def test_a_bundle_whose_replacement_was_killed_is_found_again(tmp_path: Path) -> None:
    retired = tmp_path / ".model.edge-export-old-abcdefgh"
    retired.mkdir()
    (retired / "spec.json").write_text("{}")
    with pytest.raises(ModelError, match="is not a model bundle"):  # it is there again, if not whole
        ModelBundle.load(tmp_path / "model")
    assert (tmp_path / "model" / "spec.json").read_text() == "{}"
    assert not retired.exists()
