"""converters.bundle: whole or absent, and nothing of the user's is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from converters import bundle
from converters.bundle import ModelBundle, prepare_output_folder, write_bundle
from runtime.errors import DataError, ModelError, UsageError
from tests.toolkit.conftest import Trained

ROOT = Path(__file__).parents[2]


def fill(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in bundle._FILES:
            (folder / name).write_text(text)

    return write


def fail(folder: Path) -> None:
    fill("half")(folder)
    raise OSError(28, "No space left on device")


def text_of(folder: Path) -> str:
    (text,) = {(folder / name).read_text() for name in bundle._FILES}
    return text


def beside(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.parent.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An old bundle with an export."""
    write_bundle(tmp_path / "model", fill("old"))
    (tmp_path / "model" / "export").mkdir()
    (tmp_path / "model" / "export" / "x_int8.tflite").write_bytes(b"x")
    return tmp_path / "model"


@pytest.mark.parametrize(
    "name", ["x_float16.tflite", "x_dynamic.tflite", "x_int16x8.tflite", "export.json", "export.html", ".export.html"]
)
def test_exports_go_with_the_bundle(folder: Path, name: str) -> None:
    (folder / "export" / name).write_bytes(b"x")
    write_bundle(folder, fill("new"))
    assert text_of(folder) == "new"


def test_a_new_bundle_in_new_folders(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "model"
    write_bundle(target, fill("new"))
    assert text_of(target) == "new"
    assert beside(target) == ["model"]
    if os.name != "nt":
        assert target.stat().st_mode == target.parent.stat().st_mode  # made by mkdir


def test_a_bundle_replaces_one_with_its_exports(folder: Path) -> None:
    write_bundle(folder, fill("new"))
    assert text_of(folder) == "new"
    assert not (folder / "export").exists()
    assert beside(folder) == ["model"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
def test_a_failure_leaves_the_old_one(folder: Path, error: BaseException) -> None:
    def broken(target: Path) -> None:
        fill("half")(target)
        raise error

    with pytest.raises(DataError if isinstance(error, OSError) else type(error)) as caught:
        write_bundle(folder, broken)
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write the model to {folder}: No space left on device"
    assert text_of(folder) == "old"
    assert (folder / "export" / "x_int8.tflite").exists()
    assert beside(folder) == ["model"]


def test_a_failure_between_the_renames_brings_the_old_one_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if "-new-" in self.name and Path(target).name == "model":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(folder, fill("new"))
    assert text_of(folder) == "old"
    assert beside(folder) == ["model"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.toolkit.test_bundle import fill
from converters.bundle import write_bundle
real = Path.replace
def replace(self, target):
    done = real(self, target)
    if {moment!r} in str(target if {moment!r} == "-old-" else self):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
def killed(folder):
    fill("new")(folder)
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = replace
write_bundle(Path(sys.argv[1]), killed if {moment!r} == "fill" else fill("new"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(("moment", "expected"), [("fill", "old"), ("-old-", "old"), ("-new-", "new")])
def test_killed_at_any_moment(folder: Path, moment: str, expected: str) -> None:
    code = KILLED.format(moment=moment)
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert len(beside(folder)) > 1 or moment == "-old-"
    prepare_output_folder(folder)
    assert text_of(folder) == expected
    assert beside(folder) == ["model"]
    write_bundle(folder, fill("next"))
    assert text_of(folder) == "next"


def test_the_work_of_a_living_run_is_left_alone(folder: Path) -> None:
    def while_filling(target: Path) -> None:
        prepare_output_folder(folder)
        write_bundle(folder, fill("other"))
        fill("slow")(target)  # the folder is still there

    write_bundle(folder, while_filling)
    assert text_of(folder) == "slow"
    assert beside(folder) == ["model"]


def test_many_writers_and_readers(folder: Path) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(15):
                write_bundle(folder, fill(name))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"writer {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert text_of(folder).startswith("writer")
    assert beside(folder) == ["model"]


def test_a_name_with_pattern_characters(tmp_path: Path) -> None:
    other = tmp_path / ".m.edge-export-new-abcdefgh"
    other.mkdir()
    write_bundle(tmp_path / "[m]*", fill("a"))
    write_bundle(tmp_path / "[m]*", fill("b"))
    assert text_of(tmp_path / "[m]*") == "b"
    assert other.exists()


@pytest.mark.parametrize("name", ["notes.txt", "photos", "sub/deep"])
@pytest.mark.parametrize("with_bundle", [True, False])
def test_other_peoples_files_are_not_lost(tmp_path: Path, name: str, with_bundle: bool) -> None:
    target = tmp_path / "model"
    if with_bundle:
        write_bundle(target, fill("old"))
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name.split('/')[0]}, which is no part of a model and would be lost"):
        write_bundle(target, fail)
    assert (target / name).read_text() == "mine"


def test_other_peoples_files_among_the_exports_are_not_lost(folder: Path) -> None:
    (folder / "export").mkdir(exist_ok=True)
    (folder / "export" / "x_int8.tflite").touch()
    prepare_output_folder(folder)
    (folder / "export" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds export/notes.txt, which is no part of a model"):
        write_bundle(folder, fill("new"))
    assert (folder / "export" / "notes.txt").read_text() == "mine"


def test_folders_that_only_look_like_ours_are_left_alone(tmp_path: Path, folder: Path) -> None:
    names = [".model.old-backup", ".model.new-plans", ".model.edge-export-old-notes", ".none.edge-export-old-mine"]
    for name in names:
        (tmp_path / name).mkdir()
    prepare_output_folder(tmp_path / "none")
    write_bundle(folder, fill("new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "model"])


def test_what_desktops_leave_is_no_obstacle(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    write_bundle(folder, fill("new"))
    assert text_of(folder) == "new"


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        write_bundle(tmp_path / "file", fail)
    with pytest.raises(UsageError, match="model cannot be used: .*/file is a file"):
        write_bundle(tmp_path / "file" / "model", fail)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises((UsageError, DataError), match="File name too long"):
        write_bundle(tmp_path / ("x" * 300), fail)
    (tmp_path / "here" / "below").mkdir(parents=True)
    for place in ("here", "here/below"):
        monkeypatch.chdir(tmp_path / place)
        with pytest.raises(UsageError, match="is the current folder"):
            prepare_output_folder(tmp_path / "here")


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_bundle(tmp_path / "link", fill("new"))
    assert (tmp_path / "link").is_symlink()
    assert text_of(tmp_path / "real") == "new"


@pytest.fixture(params=[8, 20], ids=["full at model.keras", "full at calibration.npz"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder on a disk of so many MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(mount)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk(small_disk: Path, trained: Trained) -> None:
    from toolkit.options import TrainOptions
    from toolkit.train import train

    target = small_disk / "model"
    write_bundle(target, fill("old"))
    options = TrainOptions(output_dir=target, cache_dir=trained.options.cache_dir)
    with pytest.raises(DataError, match=f"cannot write the model to {target}: No space left on device") as caught:
        train(trained.pictures, options)
    assert len(str(caught.value).splitlines()) == 1
    assert text_of(target) == "old"
    assert beside(target) == ["model"]


def test_a_full_disk_under_the_cache(small_disk: Path, trained: Trained) -> None:
    from toolkit.options import TrainOptions
    from toolkit.train import train

    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 100_000))
    options = TrainOptions(output_dir=small_disk / "model", cache_dir=small_disk / "cache")
    with pytest.raises(DataError, match="cannot use the feature cache .* full.*--cache-dir"):
        train(trained.pictures, options)


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> ModelBundle:
    shutil.copytree(trained.result.folder, tmp_path / "copy")
    return ModelBundle.load(tmp_path / "copy")


def test_reading_a_bundle(copy: ModelBundle) -> None:
    assert copy.is_sound()
    pictures = copy.test_pictures()
    assert pictures.images.shape == (len(pictures.digests), 224, 224, 3)
    assert copy.calibration_images().dtype == np.uint8
    assert set(copy.trained_accuracy()) == {"training", "validation", "test"}


def test_no_bundle(tmp_path: Path, copy: ModelBundle) -> None:
    with pytest.raises(UsageError, match="no such model folder: .*toolkit train writes one"):
        ModelBundle.load(tmp_path / "nowhere")
    (copy.folder / "labels.txt").unlink()
    with pytest.raises(ModelError, match=r"is not a model bundle of toolkit train: labels.txt missing"):
        ModelBundle.load(copy.folder)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("model.keras", ModelBundle.keras_model),
        ("calibration.npz", ModelBundle.calibration_images),
        ("test_images.npz", ModelBundle.test_pictures),
        ("test_split.json", ModelBundle.test_pictures),
        ("metrics.json", ModelBundle.trained_accuracy),
        ("spec.json", lambda old: ModelBundle.load(old.folder)),
    ],
)
def test_damaged_files_are_named(copy: ModelBundle, name: str, read: Callable[[ModelBundle], object]) -> None:
    path = copy.folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=name) as caught:
        read(copy)
    assert len(str(caught.value).splitlines()) == 1
    assert copy.is_sound() == name.endswith(".json")


@pytest.mark.parametrize("content", ["[1, 2]", '{"images": [{"class_id": 0}]}', "[" * 100_000, "", "5"])
def test_a_split_that_is_something_else(copy: ModelBundle, content: str) -> None:
    (copy.folder / "test_split.json").write_text(content)
    with pytest.raises(ModelError, match=r"test_split\.json is damaged: it .*; copy the bundle again, or train anew$"):
        copy.test_pictures()
