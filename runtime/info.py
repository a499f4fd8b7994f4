"""``runtime info``: what a model file holds, and what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.contract import read_contract
from runtime.errors import EdgeExportError, one_line
from runtime.file_kind import shown
from runtime.interpreter import interpreter_name
from runtime.metadata import read_metadata
from runtime.model_file import ModelFile, TensorInfo
from runtime.op_versions import required_runtime
from runtime.versions import how_to_install_interpreter

# More labels than these are cut in the text; --json has all.
_LABELS_SHOWN = 12


def model_info(path: Path) -> dict[str, Any]:
    """Everything ``runtime info`` says, as JSON values.

    Raises:
        ModelError: the file is no TFLite model.
    """
    file = ModelFile.read(path)
    needed = required_runtime(file)
    info: dict[str, Any] = {
        "path": str(path),
        "bytes": file.size,
        "description": file.description,
        "inputs": [_tensor(t) for t in file.inputs],
        "outputs": [_tensor(t) for t in file.outputs],
        "operators": [
            {"name": op.name, "version": op.version, "count": op.count, "custom": op.custom} for op in file.operators
        ],
        "needs_runtime": needed.version,
        "newer_than_known": [f"{op.name} {op.version}" for op in needed.unknown],
        "custom_operators": [op.name for op in needed.custom],
        "interpreter": _interpreter(),
    }
    for part in (_metadata, _usage):
        try:
            info |= part(file)
        except EdgeExportError as error:
            info["problem"] = str(error)
    return info


def _metadata(file: ModelFile) -> dict[str, Any]:
    metadata = read_metadata(file)
    names = ("name", "description", "version", "author", "license", "min_parser_version")
    return {"metadata": {key: value for key in names if (value := getattr(metadata, key))}} if metadata else {}


def _usage(file: ModelFile) -> dict[str, Any]:
    contract = read_contract(file.path)
    pixels = contract.preprocessing
    usage: dict[str, Any] = {
        "labels": list(contract.labels) if contract.labels_from != "none" else [],
        "labels_from": contract.labels_from,
        "task": contract.task,
        "preprocessing": {
            "height": pixels.height,
            "width": pixels.width,
            "resize": pixels.resize,
            "crop_fraction": pixels.crop_fraction,
            "resample": pixels.resample,
            "channel_order": pixels.channel_order,
            "mean": list(pixels.mean),
            "std": list(pixels.std),
            "from": contract.normalization_from,
        },
        "warnings": list(contract.warnings),
    }
    if contract.normalization_from == "input type":
        usage["preprocessing"] |= {"mean": None, "std": None}  # raw bytes go in
    if contract.spec is not None:
        usage |= {"name": contract.spec.name, "backbone": contract.spec.backbone}
        usage["provenance"] = dict(contract.spec.provenance)
        usage |= {"thresholds": dict(contract.spec.thresholds), "unknown_below": contract.spec.unknown_below}
    return usage


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "dtype": info.dtype,
        "shape": list(info.shape),
        "scale": info.scales[0] if info.scales else None,
        "zero_point": info.zero_points[0] if info.zero_points else None,
    }


def _interpreter() -> str | None:
    try:
        return interpreter_name()
    except EdgeExportError:
        return None


def info_json(path: Path) -> str:
    """One JSON object."""
    return json.dumps(model_info(path), ensure_ascii=False, indent=1)


def info_text(path: Path) -> str:
    """The same for people."""
    info = model_info(path)
    rows = [("file", f"{shown(info['path'])}, {info['bytes'] / 1e6:.2f} MB")]
    if "name" in info:
        rows.append(("model", f"{info['name']} ({info['backbone']}, {info['task']})"))
    elif info.get("metadata", {}).get("name"):
        rows.append(("model", info["metadata"]["name"]))
    rows += [("input", _tensor_text(t)) for t in info["inputs"]]
    rows += [("output", _tensor_text(t)) for t in info["outputs"]]
    if "problem" in info:
        rows.append(("problem", info["problem"]))
    else:
        rows.append(("labels", _labels_text(info)))
        rows.append(("pixels", _pixels_text(info["preprocessing"])))
        if answers := _answers_text(info):
            rows.append(("answers", answers))
    operators = (f"{op['count']} x {op['name']} {op['version']}" for op in info["operators"])
    rows.append(("operators", ", ".join(operators)))
    rows.append(("needs", _needs_text(info)))
    rows.append(("interpreter", info["interpreter"] or f"none is installed: {how_to_install_interpreter()}"))
    rows += [("warning", warning) for warning in info.get("warnings", ())]
    return "\n".join(f"{name:<12}{one_line(value)}" for name, value in rows)


def _tensor_text(tensor: dict[str, Any]) -> str:
    text = f"{tensor['name']}: {tensor['dtype']} {' x '.join(map(str, tensor['shape']))}"
    if tensor["scale"]:
        text += f", real = {tensor['scale']:.8g} * (value - {tensor['zero_point']})"
    return text


def _labels_text(info: dict[str, Any]) -> str:
    labels = info["labels"]
    if not labels:
        return "none in the file"
    more = f", ... ({len(labels)} in all)" if len(labels) > _LABELS_SHOWN else ""
    return f"{', '.join(map(shown, labels[:_LABELS_SHOWN]))}{more}; from {info['labels_from']}"


def _answers_text(info: dict[str, Any]) -> str:
    """From which score on a label is an answer; empty where every score is."""
    if info.get("task") == "multi-label" and info.get("thresholds"):
        least = [f"{shown(label)} {score:.1%}" for label, score in info["thresholds"].items()]
        more = f", ... ({len(least)} in all)" if len(least) > _LABELS_SHOWN else ""
        return f"all labels from their least score on: {', '.join(least[:_LABELS_SHOWN])}{more}"
    if info.get("unknown_below"):
        return f"unknown where the best score is below {info['unknown_below']:.1%}"
    return ""


def _pixels_text(pixels: dict[str, Any]) -> str:
    how = f"{pixels['resize']} to {pixels['width']} x {pixels['height']}, {pixels['resample']}"
    if pixels["mean"] is None:
        return f"{how}, {pixels['channel_order']}, bytes as they are"
    mean, std = (f"{v[0]:g}" if len(set(v)) == 1 else str(v) for v in (pixels["mean"], pixels["std"]))
    return f"{how}, {pixels['channel_order']}, (x - {mean}) / {std}; from {pixels['from']}"


def _needs_text(info: dict[str, Any]) -> str:
    text = f"TFLite runtime {info['needs_runtime']} or newer" if info["needs_runtime"] else "any TFLite runtime"
    if info["newer_than_known"]:
        text += f"; too new to know: {', '.join(info['newer_than_known'])}"
    if info["custom_operators"]:
        text += f"; custom operators: {', '.join(info['custom_operators'])}"
    return text
