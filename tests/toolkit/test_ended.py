"""``toolkit`` ended by Ctrl-C, SIGTERM and a closed terminal: one line, the right code, nothing half-made left."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from runtime.command import run_command
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes
from tests.toolkit.trainings import Training, train

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Where Ctrl-C comes while code that TensorFlow runs from C is on its way, Python ends itself by the signal afterwards.
CTRL_C = (130, -signal.SIGINT)
LAST = {signal.SIGTERM: "toolkit: ended by SIGTERM", signal.SIGHUP: "toolkit: ended by SIGHUP"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "photos", {"a": 30, "b": 30})


def last_line(training: Training) -> str:
    return training.said.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_the_model_is_written(photos: Path, tmp_path: Path, number: signal.Signals) -> None:
    old = train(photos, tmp_path, "--no-near-duplicates")
    assert old.wait() == 0, old.said
    before = (tmp_path / "model" / "spec.json").read_bytes()
    training = train(photos, tmp_path, "--no-near-duplicates", "--seed", "7")
    training.wait_for(lambda: list(tmp_path.glob(".model.edge-export-new-*")))
    assert training.end(number) == 128 + number
    assert last_line(training) == LAST[number]
    assert (tmp_path / "model" / "spec.json").read_bytes() == before
    assert ModelBundle.load(tmp_path / "model").is_sound()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "model", "photos"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_code_in_c_made_an_error_of(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As numpy does where its import is interrupted."""

    def run(_args: argparse.Namespace) -> int:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise ImportError("Importing the numpy C-extensions failed.") from None
        return 0

    parser = argparse.ArgumentParser("toolkit")
    parser.set_defaults(run=run)
    before = [signal.signal(number, signal.SIG_DFL)]
    try:
        assert run_command(parser, []) == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL, "handlers are put back"
    finally:
        signal.signal(number, before[0])
    line = LAST.get(number, "toolkit: interrupted")
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("name", ["toolkit", "runtime"])
def test_ctrl_c_while_modules_are_loaded(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, module: str, *_more: object) -> None:
            if module == f"{name}.cli":
                raise KeyboardInterrupt

    entry = importlib.import_module(f"{name}.__main__")
    monkeypatch.delitem(sys.modules, f"{name}.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert entry.main() == 130
    assert capsys.readouterr().err == f"{name}: interrupted\n"


@pytest.mark.slow
def test_while_the_network_is_trained(photos: Path, tmp_path: Path) -> None:
    words = ("--no-near-duplicates", "--mode", "finetune", "--epochs", "50", "--unfreeze", "2")
    training = train(photos, tmp_path, *words)
    training.wait_for("blocks, from")
    assert training.end(signal.SIGTERM) == 143
    assert last_line(training) == LAST[signal.SIGTERM]
    training = train(photos, tmp_path, *words)
    training.wait_for("epoch 1:")
    assert training.end(signal.SIGINT) in CTRL_C
    assert last_line(training) == "toolkit: interrupted"
    assert "the same command goes on from the last checkpoint: epoch 2, step 1 of" in training.said
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {name for name in kept if not name.endswith(".checkpoint")} == {"features.sqlite"}


@pytest.mark.slow
def test_sigterm_in_a_conversion_leaves_no_work_folder(trained: Trained, tmp_path: Path) -> None:
    conversion = Training("convert", trained.result.folder, "--output-dir", tmp_path / "export")
    conversion.wait_for("Loading the trained model")
    assert list((tmp_path / "export").iterdir())
    assert conversion.end(signal.SIGTERM) == 143
    assert last_line(conversion) == LAST[signal.SIGTERM]
    assert list(tmp_path.glob("export/*")) == []
