from __future__ import annotations

from typing import Any

import pytest

from converters.metadata_tables import metadata_flatbuffer, min_parser_version
from runtime.flatbuffer import Buffer


def subgraph(slot: int, value: Any) -> dict[int, Any]:
    return {3: [{}, {slot: value}]}


# What GetMinimumMetadataParserVersion of tflite-support 0.4.4 gives for the same.
@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({0: "plain"}, "1.0.0"),
        (subgraph(2, [{3: {0: 2, 1: {}}, 4: [{0: 1, 1: {}}, {0: 3, 1: {}}]}]), "1.0.0"),
        ({6: [{0: "vocabulary", 2: 5}]}, "1.0.1"),
        (subgraph(4, [{0: "vocabulary", 2: 5}]), "1.0.1"),
        (subgraph(3, [{6: [{0: "vocabulary", 2: 5}]}]), "1.0.1"),
        (subgraph(5, []), "1.1.0"),
        (subgraph(6, [{0: 1, 1: {}}]), "1.1.0"),
        (subgraph(2, [{4: [{0: 4, 1: {}}]}]), "1.1.0"),
        (subgraph(7, [{}]), "1.2.0"),
        (subgraph(8, [{}]), "1.2.0"),
        (subgraph(5, [{0: 6, 1: {}}]), "1.2.1"),
        (subgraph(3, [{4: [{0: 6, 1: {}}]}]), "1.2.1"),
        (subgraph(2, [{3: {0: 4, 1: {}}}]), "1.3.0"),
        ({6: [{0: "index", 2: 6}]}, "1.4.0"),
        ({6: [{0: "labels", 2: 2, 4: "1"}]}, "1.4.1"),
        (subgraph(9, [{}]), "1.5.0"),
        ({6: [{0: "vocabulary", 2: 5}], 3: [{8: [{}]}]}, "1.2.0"),
    ],
)
def test_version_of_the_reader_that_it_takes(fields: dict[int, Any], version: str) -> None:
    assert min_parser_version(fields) == version
    assert Buffer(bytes(metadata_flatbuffer(fields))).root().text(7) == version
