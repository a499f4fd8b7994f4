"""The SavedModel: loaded again, run, compared; and nothing of the user's is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.bundle import ModelBundle
from converters.formats import saved_model
from converters.formats.saved_model import check_saved_model_folder, write_saved_model
from runtime.errors import DataError, UsageError
from runtime.preprocess import normalize
from runtime.spec import ModelSpec

pytest.importorskip("tensorflow")


def test_it_gives_the_scores_of_the_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    bundle = ModelBundle.load(tiny_bundle)
    model, folder = bundle.keras_model(), tmp_path / "deep" / "saved 名"
    for _ in range(2):  # the second replaces the first
        write_saved_model(folder, model, bundle.spec)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    ((name, source),) = signature.structured_input_signature[1].items()
    assert (name, source.shape.as_list(), source.dtype) == ("image", [None, 24, 24, 3], tf.float32)
    pixels = normalize(bundle.test_pictures().images[:4], bundle.spec.preprocessing)
    given = signature(image=tf.constant(pixels))
    assert list(given) == ["scores"]
    assert np.abs(given["scores"].numpy() - np.asarray(model([pixels], training=False))).max() < 1e-5
    assert ModelSpec.from_json((folder / "assets.extra" / "spec.json").read_bytes()) == bundle.spec


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match=r"holds mine\.txt, which is no part of a SavedModel"):
        check_saved_model_folder(tmp_path)
    with pytest.raises(UsageError, match="cannot be used"):
        check_saved_model_folder(tmp_path / "mine.txt")
    check_saved_model_folder(tmp_path / "new")


def test_the_current_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is the current folder"):
        check_saved_model_folder(Path())


def test_a_failure_leaves_the_old_one(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_text("old")

    def fail(target: Path, *_rest: object) -> None:
        (target / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model, "_fill", fail)
    with pytest.raises(DataError, match="No space left on device"):
        write_saved_model(folder, None, ModelBundle.load(tiny_bundle).spec)
    assert (folder / "saved_model.pb").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
