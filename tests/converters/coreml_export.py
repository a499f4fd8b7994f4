"""Converts small networks to Core ML and says what came out: FOLDER OUT.json; see ``test_coreml.py``."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.formats.coreml import TOLERANCES, write_coreml
from converters.formats.tracing import traced_model
from converters.metadata_text import MetadataText
from runtime.errors import EdgeExportError
from runtime.preprocess import normalize
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets

LABELS = ("Gänseblümchen", "向日葵", "two\nlines", " spaces ", '"🌷", <b>')
TEXT = MetadataText("Blümen", "Über Blumen", "Žofie", "2.0", "CC-BY-4.0")


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def case(folder: Path, kind: str, once_more: bool = False, **pixels: Any) -> dict[str, Any]:
    import coremltools

    preprocessing = replace(small_nets.pixels(127.5, 127.5), **pixels)
    spec = ModelSpec(kind, "small", "single-label", preprocessing, LabelList(LABELS))
    model, images = small_nets.build(kind), small_nets.pictures(20)
    scores = np.asarray(model([normalize(images, preprocessing)], training=False))
    function = traced_model(model, input_name="image", output_name="scores")
    target = folder / f"{kind} {'-'.join(pixels)}.mlpackage"
    written = write_coreml(target, function, spec, images, scores, TEXT)
    first = digests(target)
    description = coremltools.utils.load_spec(str(target)).description
    picture = description.input[0].type.imageType
    facts = asdict(written) | {
        "folder": written.folder.name,
        "files": sorted(first),
        "input": [description.input[0].name, picture.width, picture.height],
        "colours": picture.ColorSpace.Name(picture.colorSpace),
        "outputs": [output.name for output in description.output],
        "texts": [
            description.metadata.shortDescription,
            description.metadata.author,
            description.metadata.versionString,
            description.metadata.license,
        ],
        "said": dict(description.metadata.userDefined),
    }
    if once_more:
        write_coreml(target, function, spec, images, scores, TEXT)
        facts["again"] = digests(target) == first
        try:
            write_coreml(target, function, spec, images, 1 - scores, TEXT)
        except EdgeExportError as error:
            facts["refused"] = str(error)
        facts["kept"] = digests(target) == first and sorted(path.name for path in folder.glob(".*")) == []
    return facts


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    found = {kind: case(folder, kind, kind == "residual") for kind in ("residual", "concat", "hard_swish", "no_bias")}
    found["bgr"] = case(folder, "residual", channel_order="BGR", mean=(103.0, 116.0, 123.0))
    found["channels"] = case(folder, "residual", mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    TOLERANCES["float16"] = 0.0  # as if it had given other scores
    found["float32"] = case(folder, "residual")
    out.write_text(json.dumps(found), encoding="utf-8")


main()
