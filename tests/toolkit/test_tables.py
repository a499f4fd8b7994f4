"""toolkit.tables: columns stay columns in every script."""

from __future__ import annotations

import pytest

from toolkit.tables import render_table, text_width


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("猫", 2), ("é", 1), ("e\u0301", 1), ("ｗ", 2)])
def test_width(text: str, width: int) -> None:
    assert text_width(text) == width


def test_first_column_left_the_others_right() -> None:
    assert render_table(["name", "n"], [["a", "1"], ["longer", "23"]]).splitlines() == [
        "name     n",
        "------  --",
        "a        1",
        "longer  23",
    ]


def test_two_columns_left_and_nothing_trails() -> None:
    assert render_table(["a", "b", "c"], [["x", "yy", ""]], left=2).splitlines() == ["a  b   c", "-  --  -", "x  yy"]


def test_wide_characters_keep_their_columns() -> None:
    lines = render_table(["class", "n"], [["猫", "1"], ["dog", "2"]]).splitlines()
    assert [text_width(line) for line in lines] == [8, 8, 8, 8]


def test_no_rows() -> None:
    assert render_table(["a", "b"], []).splitlines() == ["a  b", "-  -"]


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        render_table(["a", "b"], [["x"]])
