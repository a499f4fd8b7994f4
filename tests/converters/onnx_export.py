"""Converts small networks to ONNX and says what came out: FOLDER OUT.json; see ``test_onnx.py``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from converters.formats.onnx import DEFAULT_OPSET, LARGEST_OPSET, LEAST_OPSET, convert_onnx, onnx_scores, write_onnx
from runtime.associated_files import find_spec
from runtime.errors import EdgeExportError
from runtime.spec import ModelSpec


def facts(path: Path, opset: int = DEFAULT_OPSET) -> dict[str, Any]:
    import onnx

    spec = ModelSpec.from_json(find_spec(path) or b"")
    with np.load(path.with_suffix(".npz")) as stored:
        images, scores = stored["images"], stored["scores"]
    written = write_onnx(path.with_suffix(".onnx"), path.read_bytes(), spec, images, scores, opset)
    content = written.path.read_bytes()
    model = onnx.load_from_string(content)
    ends = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    one_by_one = np.concatenate([onnx_scores(content, images[i : i + 1], spec) for i in range(len(images))])
    return {
        "difference": written.largest_score_difference,
        "agreement": written.top1_agreement,
        "images": written.images,
        "opset": [entry.version for entry in model.opset_import if not entry.domain],
        "ends": ends,
        "batches_differ": float(np.abs(one_by_one - onnx_scores(content, images, spec)).max()),
        "properties": {entry.key: entry.value for entry in model.metadata_props},
        "operators": sorted({node.op_type for node in model.graph.node}),
        "unused": sorted({c.name for c in model.graph.initializer} - {i for n in model.graph.node for i in n.input}),
        "again": hashlib.sha256(content).hexdigest()
        == hashlib.sha256(convert_onnx(path.read_bytes(), spec, opset)).hexdigest(),
    }


def refusal(*arguments: Any) -> str:
    try:
        write_onnx(*arguments)
    except EdgeExportError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    found: dict[str, Any] = {path.stem: facts(path) for path in sorted(folder.glob("*.tflite"))}
    for opset in range(LEAST_OPSET, LARGEST_OPSET + 1):
        found[f"opset {opset}"] = facts(folder / "residual.tflite", opset)
    path = folder / "hard_swish.tflite"
    spec = ModelSpec.from_json(find_spec(path) or b"")
    with np.load(path.with_suffix(".npz")) as stored:
        images, scores = stored["images"], stored["scores"]
    target = folder / "refused.onnx"
    found["refused opset"] = refusal(target, path.read_bytes(), spec, images, scores, 13)
    found["refused scores"] = refusal(target, path.read_bytes(), spec, images, scores[:, ::-1])
    found["left"] = target.exists()
    out.write_text(json.dumps(found), encoding="utf-8")


main()
