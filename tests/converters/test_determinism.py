"""The same bundle, options and versions give the same bytes: in other processes, folders, and at other times."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from toolkit.cli import main

pytest.importorskip("tensorflow")
# What is converted; every kind that this names must come out the same.
OPTIONS = ("--quantize",)


def command(folder: Path) -> list[str]:
    return ["convert", str(folder), *OPTIONS, "--max-accuracy-drop", "100"]


def digests(folder: Path) -> dict[str, str]:
    """sha256 of each file as export.json says it, checked against the file."""
    report = json.loads((folder / "export" / "export.json").read_bytes())
    found = {entry["file"]: entry["sha256"] for entry in report["files"]}
    for name, digest in found.items():
        assert hashlib.sha256((folder / "export" / name).read_bytes()).hexdigest() == digest
    return found


def test_two_runs_one_sha256(small_bundle: Path, tmp_path: Path) -> None:
    first = Path(shutil.copytree(small_bundle, tmp_path / "first"))
    second = Path(shutil.copytree(small_bundle, tmp_path / "deeper" / "第二"))
    assert main(command(first)) == 0
    # The hash of this process's strings is another one, unless somebody sets it for all of them.
    environment = dict(os.environ) | {"PYTHONHASHSEED": "1"}
    line = [sys.executable, "-m", "toolkit", *command(second)]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = digests(first), digests(second)
    assert len(one) >= 2
    assert one == two
