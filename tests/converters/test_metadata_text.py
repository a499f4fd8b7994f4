from __future__ import annotations

from pathlib import Path

import pytest

from converters.metadata_text import MetadataText, parse_locales, read_translations
from runtime.errors import EdgeExportError, ModelError, UsageError
from runtime.spec import LabelList

LABELS = LabelList(("daisy", "rose", "tulip"))


def test_locales() -> None:
    options = ["de=a b.txt", "pt-BR=/x/y=z.txt", "zh-Hans=z", "gsw=c"]
    assert parse_locales(options) == {
        "de": Path("a b.txt"),
        "pt-BR": Path("/x/y=z.txt"),
        "zh-Hans": Path("z"),
        "gsw": Path("c"),
    }
    assert parse_locales([]) == {}


@pytest.mark.parametrize(
    "option", ["de", "de=", "=de.txt", "pt_BR=x", "DE=x", "../x=y", "d=x", "de-=x", "de\n=x", "de /=x"]
)
def test_no_locale(option: str) -> None:
    with pytest.raises(UsageError, match="is no LOCALE=FILE with a locale such as de or pt-BR") as caught:
        parse_locales([option])
    assert "\n" not in str(caught.value)


def test_a_locale_twice() -> None:
    with pytest.raises(UsageError, match="--labels-locale de is given twice"):
        parse_locales(["de=a", "fr=b", "de=c"])


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_labels_in_another_language(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "de.txt"
    path.write_bytes("\ufeffGänseblümchen\n Rose \nTulpe".encode() + end)
    assert read_translations({"de": path}, LABELS) == {"de": ("Gänseblümchen", " Rose ", "Tulpe")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", r"de.txt has 2 labels, the model has 3; --labels-locale de needs one line for each"),
        (b"a\nb\nc\nd", "de.txt has 4 labels, the model has 3"),
        (b"", "de.txt has 0 labels, the model has 3"),
        (b"a\n \nc\n", r"de.txt: line 2 is empty; it must name 'rose' in de"),
        (b"PK\x03\x04\xff\xfe", "not UTF-8 text"),
        (b"a" * (17 << 20), "de.txt"),
    ],
    ids=["few", "many", "none", "empty line", "archive", "large"],
)
def test_labels_that_do_not_fit(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "de.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_translations({"de": path}, LABELS)
    assert "\n" not in str(caught.value)


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--labels-locale de=.*none.txt: no such file"):
        read_translations({"de": tmp_path / "none.txt"}, LABELS)
    with pytest.raises(EdgeExportError):
        read_translations({"de": tmp_path}, LABELS)


def test_texts_that_are_none() -> None:
    with pytest.raises(UsageError, match=r"--model-version '\\udcff' is no Unicode text"):
        MetadataText(version="\udcff")
    with pytest.raises(UsageError, match="--author"):
        MetadataText(author="\udcff")
