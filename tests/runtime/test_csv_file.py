from __future__ import annotations

import csv
import errno
from contextlib import closing
from pathlib import Path

import pytest

from runtime.actions.action import Seen
from runtime.actions.csv_file import COLUMNS, CsvFile
from runtime.cli import main
from runtime.errors import DataError, UsageError
from runtime.said import Said
from tests.runtime.seen import Log, seen

HEADER = ",".join(COLUMNS) + "\n"


def append(path: Path, *answers: Seen) -> None:
    with closing(CsvFile(path)) as file:
        for answer in answers:
            file.handle(answer)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    append(path, seen("向日葵", source="a,b.jpg", number=7))
    assert path.read_text(encoding="utf-8") == (
        HEADER + '2026-03-01T09:30:00.125Z,"a,b.jpg",7,向日葵,向日葵,0.750000,1.500,0.250,10.000,0.125\n'
    )


def test_the_header_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    for _ in range(3):
        append(path, seen("cat"))
    assert path.read_text(encoding="utf-8").count("time,") == 1
    assert [row["labels"] for row in rows(path)] == ["cat"] * 3


def test_no_label_and_several(tmp_path: Path) -> None:
    append(tmp_path / "a.csv", seen(scores=(0.4, 0.3, 0.3)), seen("dog", "cat", task="multi-label"))
    assert [(row["labels"], row["best"]) for row in rows(tmp_path / "a.csv")] == [("", "cat"), ("dog;cat", "cat")]


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_label_is_a_formula(label: str, tmp_path: Path) -> None:
    append(tmp_path / "a.csv", seen(label, names=(label, "b"), source="=cmd|'/c calc'!A1"))
    (row,) = rows(tmp_path / "a.csv")
    for cell in (row["labels"], row["best"], row["source"]):
        assert cell.startswith("'")
    assert row["labels"] == f"'{label}"


def test_hostile_labels_and_names_stay_in_their_cells(tmp_path: Path) -> None:
    label = 'a "quoted", two\nlines <script>'
    append(tmp_path / "a.csv", seen(label, names=(label, "b"), source="\udcff.jpg"))
    (row,) = rows(tmp_path / "a.csv")
    assert (row["labels"], row["source"]) == (label, "\\udcff.jpg")


def test_half_a_row_is_no_ones_beginning(tmp_path: Path) -> None:
    """What a power cut leaves."""
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "2026-03-01T09:30:00.125Z,0,1,ca", encoding="utf-8")
    append(path, seen("dog"))
    assert [row["labels"] for row in rows(path)] == ["ca", "dog"]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + HEADER.encode(), HEADER.replace("\n", "\r\n").encode(), b""])
def test_files_that_a_spreadsheet_has_saved(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    append(path, seen("dog"))
    assert path.read_bytes().count(b"time,source") == 1
    assert path.read_bytes().startswith(content)


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("file,label\na.jpg,cat\n")
    for name, message in (
        ("other.csv", "other.csv: has other columns than time,source,"),
        ("none/a.csv", "a.csv: cannot be written: No such file"),
        (".", "is not a regular file"),
    ):
        with pytest.raises(UsageError, match=message):
            CsvFile(tmp_path / name)
    assert (tmp_path / "other.csv").read_text() == "file,label\na.jpg,cat\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_ends_a_folder_and_not_a_camera() -> None:
    with pytest.raises(DataError, match="--csv /dev/full: No space left on device"):
        CsvFile(Path("/dev/full"))
    log = Log()
    with closing(CsvFile(Path("/dev/full"), Said(log, "--csv"))) as file:
        for _ in range(100):
            file.handle(seen("cat"))
    assert log.lines == ["--csv: /dev/full: No space left on device; rows are left out"]


def test_after_a_full_disk_rows_are_whole_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, path = Log(), tmp_path / "a.csv"
    file = CsvFile(path, Said(log, "--csv"))
    raw = file._file

    class Full:
        """Half of a row still fits, then nothing."""

        left = 20

        def write(self, data: bytes) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken, self.left = data[: self.left], 0
            return raw.write(taken) or 0

    monkeypatch.setattr(file, "_file", Full())
    for _ in range(3):
        file.handle(seen("cat"))
    monkeypatch.setattr(file, "_file", raw)
    file.handle(seen("dog"))
    file.handle(seen("dog"))
    file.close()
    assert [row["labels"] for row in rows(path)][1:] == ["dog", "dog"]
    assert len(log.lines) == 2


def test_the_command(photos: Path, colours: Path, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert main(["classify", "--model", str(colours), "--csv", str(path), str(photos)]) == 0
    assert main(["classify", "--model", str(colours), "--csv", str(path), "--camera", str(clip)]) == 0
    answers = rows(path)
    assert [row["labels"] for row in answers[:3]] == ["two\nlines", "緑 grün", "red"]
    assert [row["frame"] for row in answers[3:]] == [str(number) for number in range(12)]
    assert [row["labels"] for row in answers[3:]] == ["red"] * 4 + ["two\nlines"] * 4 + ["red"] * 4
