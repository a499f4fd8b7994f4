"""``toolkit architectures``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import cli
from toolkit.backbones.catalog import ARCHITECTURES


def entries(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, dict[str, object]]:
    assert cli.main(["architectures", "--json", *map(str, words)]) == 0
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {entry["name"]: entry for entry in lines}


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["architectures", "--cache-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2 : 2 + len(ARCHITECTURES)]}
    assert list(rows) == list(ARCHITECTURES)
    default = rows["mobilenet_1.00_224"]
    for part in ("(default)", " shipped ", "224 px", "3.23 M", "569 M", "3.5 MB"):
        assert part in default
    assert " to download " in rows["mobilenet_0.50_160"]
    assert any(line.strip().startswith("https://") for line in lines[-5:])
    assert max(map(len, lines)) < 100


def test_json_has_the_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = entries(capsys, "--cache-dir", tmp_path)
    assert list(found) == list(ARCHITECTURES)
    assert [name for name, entry in found.items() if entry["default"]] == ["mobilenet_1.00_224"]
    for entry in found.values():
        assert (entry["imagenet_top1_percent"] is None) == (entry["top1_source"] is None)


def test_where_the_weights_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, mine = tmp_path / "cache", tmp_path / "mine"
    for folder, name in (
        (cache / "weights", "mobilenet_v3_large"),
        (mine, "inception_v3"),
        (mine, "mobilenet_1.00_224"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ARCHITECTURES[name].weights.file_name).write_bytes(b"x")
    found = entries(capsys, "--cache-dir", cache, "--model-dir", mine)
    wheres = {name: entry["weights"] for name, entry in found.items()}
    assert wheres["mobilenet_v3_large"] == "cache"
    assert wheres["inception_v3"] == wheres["mobilenet_1.00_224"] == "model-dir"
    assert wheres["mobilenet_v2_1.00_224"] == "download"
    assert found["inception_v3"]["weights_path"] == str(mine / ARCHITECTURES["inception_v3"].weights.file_name)


def test_no_such_model_dir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["architectures", "--model-dir", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_it_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from toolkit import cli; cli.main(['architectures']);"
        "print(*sorted({'numpy', 'tensorflow', 'keras', 'h5py', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stderr.strip() == ""
