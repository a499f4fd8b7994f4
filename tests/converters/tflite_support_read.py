"""Reads a model's metadata with tflite-support, for comparison: MODEL OUT.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    try:
        from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version
        from tflite_support import metadata
    except (ImportError, OSError) as error:  # it needs libusb-1.0
        sys.exit(f"tflite-support does not load: {error}")
    model = Path(sys.argv[1]).read_bytes()
    displayer = metadata.MetadataDisplayer.with_model_buffer(model)
    names = displayer.get_packed_associated_file_list()
    files = {name: displayer.get_associated_file_buffer(name).decode() for name in names}
    blob = metadata.get_metadata_buffer(model)
    content = {
        "metadata": json.loads(displayer.get_metadata_json()),
        "files": files,
        "min_parser_version": _pywrap_metadata_version.GetMinimumMetadataParserVersion(bytes(blob)),
    }
    Path(sys.argv[2]).write_text(json.dumps(content), encoding="utf-8")


main()
