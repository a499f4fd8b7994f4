"""The page's interface as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from runtime.page.options import PageOptions
from runtime.versions import our_version

_NUMBER, _TEXT, _WHOLE = {"type": "number"}, {"type": "string"}, {"type": "integer"}


def openapi(options: PageOptions, *, token: bool) -> dict[str, Any]:
    """The document, OpenAPI 3.1.

    Args:
        options: of the page.
        token: whether visitors must show one.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "runtime serve",
            "version": our_version(),
            "description": "Classifies posted pictures, and shows what a camera sees.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/classify": {"post": _classify(options)},
            "/status": {"get": _get("status", "What runs here, and the newest answer of the camera.", "Status")},
            "/frame.jpg": {"get": _media("frame", "The newest picture of the camera.", "image/jpeg")},
            "/stream": {"get": _media("stream", "The camera's pictures, MJPEG.", "multipart/x-mixed-replace")},
            "/events": {
                "get": _media(
                    "events",
                    "Server-sent events: `status` (as /status) when there is a new answer, `changes` (an array, newest "
                    "first) when other labels hold than before.",
                    "text/event-stream",
                )
            },
        },
        "components": {"schemas": _schemas()},
    }
    if token:
        document["components"]["securitySchemes"] = {
            "header": {"type": "http", "scheme": "bearer"},
            "query": {"type": "apiKey", "in": "query", "name": "token"},
        }
        document["security"] = [{"header": []}, {"query": []}]
    return document


def _classify(options: PageOptions) -> dict[str, Any]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {"picture": {"type": "string", "format": "binary"}}}
    return {
        "operationId": "classify",
        "summary": "Classify a picture.",
        "description": f"JPEG, PNG, WebP, GIF, BMP, TIFF or PPM; at most {options.max_upload_bytes / 1e6:.0f} MB and "
        f"{options.max_upload_pixels / 1e6:.0f} million pixels.",
        "parameters": [
            _query("top_k", {"type": "integer", "minimum": 1}, "Predictions at most."),
            _query("threshold", {"type": "number", "minimum": 0, "maximum": 1}, "Least score of a prediction."),
            _query("name", {"type": "string", "maxLength": 200}, "What the picture is called in the answer."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": picture,
                "application/octet-stream": picture,
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": _content("The answer.", "application/json", _reference("Answer")),
            **{
                str(code): _content(what, "application/json", _reference("Error"))
                for code, what in (
                    (400, "The request is malformed."),
                    (401, "The token is missing or wrong."),
                    (403, "Another web site asks."),
                    (408, "The picture came too slowly."),
                    (411, "Content-Length is missing."),
                    (413, "The picture is too large."),
                    (415, "Another type of content than a picture."),
                    (422, "The picture is none, or is damaged."),
                    (503, "Too many at a time; try again in a moment."),
                )
            },
        },
    }


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _get(name: str, summary: str, schema: str) -> dict[str, Any]:
    good = _content(summary, "application/json", _reference(schema))
    return {"operationId": name, "summary": summary, "responses": {"200": good}}


def _media(name: str, summary: str, kind: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {kind: {}}},
            "404": _content("There is no camera.", "application/json", _reference("Error")),
            "503": _content("No picture yet, or too many viewers.", "application/json", _reference("Error")),
        },
    }


def _content(description: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    return {
        "Error": _object({"error": _TEXT}),
        "Prediction": _object(
            {"class_id": _WHOLE, "label": _TEXT, "score": {"type": "number", "minimum": 0, "maximum": 1}}
        ),
        "Answer": _object(
            {
                "source": _TEXT,
                "predictions": {"type": "array", "items": _reference("Prediction")},
                "labels": {"type": "array", "items": _TEXT, "description": "What the picture shows; none if unknown."},
                "unknown": {"type": "boolean"},
                "milliseconds": {"type": "object", "additionalProperties": _NUMBER},
            }
        ),
        "Status": _object(
            {
                "model": _TEXT,
                "classes": _WHOLE,
                "camera": {"type": ["string", "null"]},
                "viewers": _object({"now": _WHOLE, "most": _WHOLE}),
                "most_upload_bytes": _WHOLE,
            },
            # Only with a camera.
            {
                "frames_per_second": _NUMBER,
                "seconds_since_frame": {"type": ["number", "null"]},
                "ended": {"type": "boolean"},
                "milliseconds": {"type": "object", "additionalProperties": _NUMBER},
                "answer": {"anyOf": [{"type": "null"}, _reference("CameraAnswer")]},
                "changes": _WHOLE,
                "note": {"anyOf": [{"type": "null"}, _object({"time": _TEXT, "text": _TEXT})]},
            },
        ),
        "CameraAnswer": _object(
            {
                "time": {"type": "string", "format": "date-time"},
                "source": _TEXT,
                "frame": _WHOLE,
                "task": {"enum": ["single-label", "multi-label"]},
                "predictions": {"type": "array", "items": _reference("Prediction")},
                "labels": {"type": "array", "items": _TEXT},
                "unknown": {"type": "boolean"},
            }
        ),
    }


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}
