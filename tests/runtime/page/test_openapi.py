from __future__ import annotations

import json
from typing import Any

from runtime.page.live import Live
from runtime.page.openapi import openapi
from runtime.page.options import PageOptions
from tests.runtime.page.conftest import Served, seen


def check(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Hold a value against a schema, as far as ours go."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        check(value, document["components"]["schemas"][name], document)
    elif "anyOf" in schema:
        check(value, schema["anyOf"][0 if value is None else 1], document)
    elif "enum" in schema:
        assert value in schema["enum"]
    else:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        python = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
        python |= {"boolean": bool, "null": type(None)}
        assert any(isinstance(value, python[kind]) for kind in kinds), (value, schema)
        if isinstance(value, dict):
            assert set(schema.get("required", ())) <= set(value)
            properties = schema.get("properties", {})
            for name, inside in value.items():
                check(inside, properties.get(name) or schema["additionalProperties"], document)
        if isinstance(value, list):
            for inside in value:
                check(inside, schema["items"], document)


def test_each_reference_has_its_schema() -> None:
    document = openapi(PageOptions(), token=True)
    text = json.dumps(document)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in document["components"]["schemas"]
    assert "security" in document
    assert "security" not in openapi(PageOptions(), token=False)


def test_what_is_answered_is_what_is_described(serve: Any, green: bytes) -> None:
    served: Served = serve(camera=True)
    assert isinstance(served.live, Live)
    document = served.ask("/openapi.json").json
    schemas = document["components"]["schemas"]
    check(served.ask("/status").json, schemas["Status"], document)
    served.live.handle(seen())
    served.live.note("a word")
    check(served.ask("/status").json, schemas["Status"], document)
    check(served.ask("/classify", "POST", green).json, schemas["Answer"], document)
    check(served.ask("/classify", "POST", b"x").json, schemas["Error"], document)
    check(serve().ask("/status").json, schemas["Status"], document)


def test_every_path_is_there(serve: Any) -> None:
    served: Served = serve(camera=True)
    assert served.live is not None
    served.live.handle(seen())
    for path, methods in served.ask("/openapi.json").json["paths"].items():
        for method in methods:
            if path not in ("/stream", "/events"):
                assert served.ask(path, method.upper()).status in (200, 400)
            else:
                assert served.ask(path, "HEAD").status == 200
