"""Delegates: real libraries, compiled here, that work, refuse, crash and hang."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import delegates
from runtime.classifier import Classifier
from runtime.delegates import Delegate
from runtime.errors import EdgeExportError, MissingPackageError, ModelError, UsageError
from runtime.load_request import LoadRequest
from runtime.trial import try_model
from tests.conftest import ROOT
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model

SOURCE = Path(__file__).parent / "delegate.c"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="libraries of POSIX")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled delegate."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here")
    path = tmp_path_factory.mktemp("delegate") / "a delegate,x:y.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), str(SOURCE)], check=True)
    return path


def test_what_the_user_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my:a=b.so").touch()
    Path("lib.so").touch()
    for text, library, options in (
        ("edgetpu", delegates._EDGE_TPU_LIBRARIES.get(sys.platform, ""), ()),
        ("edgetpu:device=usb:0", delegates._EDGE_TPU_LIBRARIES.get(sys.platform, ""), (("device", "usb:0"),)),
        ("libx.so:a=1,b-c.d=x=y", "libx.so", (("a", "1"), ("b-c.d", "x=y"))),
        ("libx.so", "libx.so", ()),
        ("lib.so:n=", str(tmp_path / "lib.so"), (("n", ""),)),
        ("./my:a=b.so", str(tmp_path / "my:a=b.so"), ()),
        (f"{tmp_path}/my:a=b.so:k=v", str(tmp_path / "my:a=b.so"), (("k", "v"),)),
    ):
        found = Delegate.parse(text)
        assert (found.name, found.library, found.options) == (text, library, options), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none/lib.so", "--delegate none/lib.so: no such file: none/lib.so"),
        ("lib.so:a=1,b", "its options are key=value,key=value, not b"),
        ("lib.so:a=1,a=2", "says a twice"),
        ("", "--delegate is empty"),
    ],
)
def test_wrong_usage(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Delegate.parse(text)


def test_a_delegate_that_works_is_tried_in_a_child_first(library: Path, colours: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    classifier = Classifier.load(colours, delegate=f"{library}:mode=good,journal={journal}")
    notes = [line.split() for line in journal.read_text().splitlines()]
    assert [what for _, what in notes] == ["create", "prepare", "destroy", "create", "prepare"]
    child, here = {pid for pid, _ in notes[:3]}, {pid for pid, _ in notes[3:]}
    assert here == {str(os.getpid())}
    assert len(child) == 1
    assert child != here
    pictures = [np.full((9, 9, 3), colour, np.uint8) for colour in COLOURS.values()] * 5
    answers = list(classifier.classify_many(pictures))
    assert [answer.predictions[0].class_id for answer in answers if not isinstance(answer, EdgeExportError)] == [
        0,
        1,
        2,
    ] * 5


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("create-crash", r"crashed \(SIGSEGV\) while it was loaded; check that the library fits"),
        ("create-abort", r"crashed \(SIGABRT\) while it was loaded \(device is on fire\); check"),
        ("prepare-crash", r"crashed \(SIGSEGV\) while it took the model over; check"),
        ("destroy-crash", r"crashed \(SIGSEGV\) while it was taken down; check"),
        ("refuse", "the delegate refuses: no device is plugged in$"),
        ("prepare-fail", "with --delegate .* cannot load this model: "),
    ],
)
def test_a_delegate_that_does_not_work_is_a_message(mode: str, message: str, library: Path, colours: Path) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Classifier.load(colours, delegate=f"{library}:mode={mode}")
    assert str(caught.value).isprintable()


def test_what_a_library_prints_is_no_answer(library: Path, colours: Path) -> None:
    try_model(LoadRequest(colours, delegate=Delegate.parse(f"{library}:mode=create-noise")))


def test_a_delegate_that_hangs_is_given_up(library: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.trial._PATIENCE", 3)
    with pytest.raises(ModelError, match="did not answer within 3 s while it took the model over; check"):
        try_model(LoadRequest(colours, delegate=Delegate.parse(f"{library}:mode=prepare-hang")))


def test_libraries_that_are_none(colours: Path, tmp_path: Path, library: Path) -> None:
    (tmp_path / "text.so").write_text("text")
    with pytest.raises(ModelError, match="the library does not load: .*text.so"):
        Classifier.load(colours, delegate=str(tmp_path / "text.so"))
    with pytest.raises(ModelError, match="the library does not load: .*libnone.so"):
        Classifier.load(colours, delegate="libnone.so")
    other = tmp_path / "other.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-o", str(other), os.devnull], check=True)
    with pytest.raises(ModelError, match="is no TFLite delegate: it has no function tflite_plugin_create_delegate"):
        Classifier.load(colours, delegate=str(other))


def test_the_edge_tpu_without_its_library(colours: Path) -> None:
    if ctypes.util.find_library("edgetpu"):
        pytest.skip("the Edge TPU's library is installed")
    with pytest.raises(MissingPackageError, match=r"--delegate edgetpu: .*sudo apt install libedgetpu1-std"):
        Classifier.load(colours, delegate="edgetpu")


def test_a_file_for_the_edge_tpu(save_model: Callable[..., Path], library: Path) -> None:
    content = mean_colour_model("uint8", scale=0.1, then="custom", custom="edgetpu-custom-op")
    path = save_model(content, spec_of("a", "b", "c"))
    with pytest.raises(ModelError, match="is compiled for the Edge TPU: --delegate edgetpu runs it where one is"):
        Classifier.load(path)
    # A delegate that does not know the operator leaves it to the interpreter, which says so.
    with pytest.raises(ModelError, match="cannot load this model: .*edgetpu-custom-op"):
        Classifier.load(path, delegate=str(library))


def test_the_command(
    library: Path, colours: Path, photos: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    classify = ("classify", "--model", str(colours), str(photos / "red.png"), "--top-k", "1", "--delegate")
    done = run_module(*classify, f"{library}:mode=good")
    assert (done.returncode, done.stderr) == (0, "")
    assert "red\n" in done.stdout
    done = run_module(*classify, f"{library}:mode=create-crash")
    assert done.returncode == 1
    assert done.stderr.startswith("runtime: error: --delegate ")
    assert done.stderr.count("\n") == 1


def test_a_signal_while_a_delegate_hangs(library: Path, colours: Path, photos: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    delegate = f"{library}:mode=prepare-hang,journal={journal}"
    command = [sys.executable, "-m", "runtime", "classify", "--model", str(colours), "--delegate", delegate]
    process = subprocess.Popen([*command, str(photos)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (journal.exists() and "prepare" in journal.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert said == "runtime: ended by SIGTERM\n"
    tried = int(journal.read_text().split()[0])
    while runs(tried) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(tried)


def runs(process: int) -> bool:
    """Whether a process is there and has not ended, for whoever is to collect its exit code."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_the_floor(
    library: Path,
    colours: Path,
    photos: Path,
    floor_python: Path,
    run_module: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    classify = ("classify", "--model", str(colours), str(photos / "red.png"), "--top-k", "1", "--delegate")
    done = run_module(*classify, f"{library}:mode=good", python=floor_python)
    assert (done.returncode, done.stderr) == (0, "")
    done = run_module(*classify, f"{library}:mode=prepare-crash", python=floor_python)
    assert "crashed (SIGSEGV) while it took the model over" in done.stderr
