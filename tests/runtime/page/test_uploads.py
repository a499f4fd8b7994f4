from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from runtime.page.uploads import RefusedError, form_boundary, picture_in_form
from tests.runtime.page.conftest import Served

Serve = Callable[..., Served]


def form(*parts: tuple[str, bytes], end: bytes = b"--B--\r\n") -> bytes:
    """A multipart body with the boundary ``B``."""
    heads = [(f"--B\r\nContent-Disposition: form-data; {what}\r\n\r\n".encode(), data) for what, data in parts]
    return b"".join(head + data + b"\r\n" for head, data in heads) + end


FILE = 'name="picture"; filename="a.png"'


def test_a_posted_picture(serve: Serve, green: bytes) -> None:
    reply = serve().ask("/classify?name=%E8%91%89.png", "POST", green, Content_Type="image/png")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    answer = reply.json
    assert answer["source"] == "葉.png"
    assert answer["labels"] == ["緑 grün"]
    assert [p["label"] for p in answer["predictions"]][0] == "緑 grün"
    assert set(answer["milliseconds"]) == {"decode", "preprocess", "invoke", "postprocess"}


@pytest.mark.parametrize("kind", [None, "image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream"])
def test_types_that_are_pictures(serve: Serve, green: bytes, kind: Any) -> None:
    assert serve().ask("/classify", "POST", green, Content_Type=kind).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "image", "/"])
def test_types_that_are_none(serve: Serve, green: bytes, kind: str) -> None:
    reply = serve().ask("/classify", "POST", green, Content_Type=kind)
    assert reply.status == 415
    assert reply.json["error"].startswith("Send the picture as image/...")


def test_a_form(serve: Serve, green: bytes) -> None:
    body = form(('name="note"', b"hello"), (FILE, green))
    reply = serve().ask("/classify", "POST", body, Content_Type='multipart/form-data; boundary="B"')
    assert reply.status == 200
    assert reply.json["labels"] == ["緑 grün"]


@pytest.mark.parametrize(
    "body",
    [
        form(('name="note"', b"hello")),
        form((FILE, b"1"), (FILE, b"2")),
        form((FILE, b"1"), end=b""),
        form((FILE, b"1"), end=b"--B"),
        form(*[(FILE, b"1")] * 100),
        b"nothing",
        b"--B--",
        b"--B\r\n" * 1000,
    ],
)
def test_forms_without_one_whole_file(body: bytes) -> None:
    with pytest.raises(RefusedError, match="must be whole and hold one file"):
        picture_in_form(body, b"B")


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=B"]
)
def test_forms_without_a_boundary(kind: str) -> None:
    with pytest.raises(RefusedError):
        form_boundary(kind)


def test_what_a_request_asks_for(serve: Serve, green: bytes) -> None:
    served = serve()
    assert len(served.ask("/classify?top_k=2", "POST", green).json["predictions"]) == 2
    assert len(served.ask("/classify?threshold=0.5", "POST", green).json["predictions"]) == 1
    for query in (
        "top_k=0",
        "top_k=-1",
        "top_k=x",
        "top_k=",
        "top_k=%C2%B2",
        "threshold=2",
        "threshold=nan",
        "threshold=",
    ):
        reply = served.ask(f"/classify?{query}", "POST", green)
        assert reply.status == 400
        assert "must be" in reply.json["error"]


@pytest.mark.parametrize("body", [b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\0" * 1000, b"%!PS", b"<svg/>"])
def test_what_is_no_picture(serve: Serve, body: bytes) -> None:
    reply = serve().ask("/classify", "POST", body)
    assert reply.status == 422
    assert "\n" not in reply.json["error"]


def test_a_picture_cut_short(serve: Serve) -> None:
    file = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(file, "JPEG")
    reply = serve().ask("/classify", "POST", file.getvalue()[:3000])
    assert reply.status == 422
    assert "truncated" in reply.json["error"]


def test_a_picture_with_too_many_pixels(serve: Serve) -> None:
    file = io.BytesIO()
    Image.new("1", (2000, 1000)).save(file, "PNG")
    reply = serve(max_upload_pixels=1_000_000).ask("/classify", "POST", file.getvalue())
    assert reply.status == 413
    assert reply.json["error"] == "The picture has 2000 x 1000 pixels; at most 1 million."


def test_a_model_that_fails(serve: Serve, green: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.errors import ModelError

    served = serve()
    model = served.site.uploads.slot.current

    def fail(*_: Any) -> None:
        raise ModelError("made.tflite: gives\nno scores")

    monkeypatch.setattr(model, "look", fail)
    reply = served.ask("/classify", "POST", green)
    assert reply.status == 500
    assert reply.json["error"] == "made.tflite: gives no scores"
    assert served.log == ["page: made.tflite: gives no scores"]
    monkeypatch.undo()
    assert served.ask("/classify", "POST", green).status == 200


def test_too_many_at_a_time(serve: Serve, green: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.page.uploads.TURN_SECONDS", 0.05)
    served = serve()
    places = served.site.uploads.places
    while places.acquire(blocking=False):
        pass
    reply = served.ask("/classify", "POST", green)
    assert reply.status == 503
    assert reply.headers["retry-after"] == "2"
    places.release()
    assert served.ask("/classify", "POST", green).status == 200
    assert served.ask("/classify", "POST", green).status == 200
