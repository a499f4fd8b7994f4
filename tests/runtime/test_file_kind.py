from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.errors import ModelError
from runtime.model_file import ModelFile


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tflite", b"\xff\xd8\xff\xe0\0\x10JFIF", r"found '\\x00\\x10JF'\): it looks like a JPEG picture"),
        ("a.tflite", b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        ("a.tflite", b"\n<!DOCTYPE html><html>", "a web page; the download or copy went wrong"),
        ("a.tflite", b"<?xml version='1.0'?><Error/>", "an XML page"),
        ("a.tflite", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*`git lfs pull`"),
        ("a.zip", b"PK\3\4" + bytes(30), "a zip archive; unpack it"),
        ("a.keras", b"PK\3\4" + bytes(30), "a Keras model; convert it first"),
        ("a.zip", b"PK\3\4" + bytes(26) + b"metadata.json", "a Keras model"),
        ("a.task", b"PK\3\4" + bytes(30), "a MediaPipe task bundle"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "a Keras or other HDF5 file; convert it first"),
        ("a.pb", b"\n\x10\n\x05input\x12\x07", "a TensorFlow graph"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        ("a.tgz", b"\x1f\x8b\x08\0\0\0\0\0", "a packed archive"),
        ("a.tflite", b"\x18\0\0\0TFL2" + bytes(8), "another schema generation"),
        ("a.json", b'{"labels": []}', "a JSON text"),
        ("a.txt", b"daisy\nrose\n", "a text file"),
        ("a.tflite", bytes(64), "zeros only"),
        ("a.tflite", b"\1\2\3", "found 3 bytes in all.*data of an unknown kind"),
        ("a.tflite", bytes(range(200, 240)), "data of an unknown kind"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message) as caught:
        ModelFile.read(path)
    assert str(caught.value).startswith(f'{path} is not a TensorFlow Lite model (expected "TFL3" at byte 4,')
    assert "\n" not in str(caught.value)


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.tflite").touch()
    (tmp_path / "two\nlines").touch()
    for name, message in (
        ("none.tflite", "does not exist"),
        ("", "is a folder; give the .tflite file in it"),
        ("empty.tflite", r"is empty \(0 bytes\)"),
        ("empty.tflite/below", "cannot be read: Not a directory"),
        ("two\nlines", r"two\\nlines' is empty"),
        ("nul\0", "is not a possible path"),
    ):
        with pytest.raises(ModelError, match=message):
            ModelFile.read(f"{tmp_path}/{name}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="not a regular file"):
        ModelFile.read(tmp_path / "pipe")
