"""``toolkit architectures``: what can be trained, what it costs, where its weights are."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from runtime.command import HelpFormatter

_DESCRIPTION = "List the networks that `toolkit train --architecture` takes."
_EPILOG = """\
  params    parameters of the network without its ImageNet classifier, millions
  MACs      multiply-adds for one picture, millions, as published with the classifier
  top-1     published ImageNet accuracy, per cent; --json has the page it stands on
  int8      what an exported int8 file will be about, without your classes
  weights   shipped, in an installed package, in --model-dir, in the cache, or still to be fetched
"""
# Where weights are, in a word.
_WHERE = {
    "bundled": "shipped",
    "package": "installed",
    "cache": "cached",
    "model-dir": "in --model-dir",
    "download": "to download",
    "install": "to install",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``architectures`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "architectures",
        help="list the networks one can train with",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--model-dir", metavar="DIR", type=Path, help="folder with weight files you have already")
    parser.add_argument("--cache-dir", metavar="DIR", type=Path, help="of downloads (default: the user's cache)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list; returns the exit code."""
    from toolkit.backbones.catalog import ARCHITECTURES, DEFAULT_ARCHITECTURE
    from toolkit.backbones.weights import locate_weights
    from toolkit.folders import default_cache_dir
    from toolkit.tables import render_table

    cache_dir = args.cache_dir or default_cache_dir()
    entries = []
    for architecture in ARCHITECTURES.values():
        source = locate_weights(architecture, args.model_dir, cache_dir)
        entries.append(
            {
                "name": architecture.name,
                "default": architecture.name == DEFAULT_ARCHITECTURE,
                "input_size": architecture.input_size,
                "parameters": architecture.backbone_parameters,
                "multiply_adds_millions": architecture.multiply_adds,
                "imagenet_top1_percent": architecture.imagenet_top1,
                "top1_source": architecture.top1_source,
                "expected_int8_bytes": architecture.expected_int8_bytes,
                "weights": source.where,
                "weights_path": None if source.path is None else str(source.path),
                "install": architecture.weights.install_command if source.where == "install" else None,
            }
        )
    if args.json:
        for entry in entries:
            print(json.dumps(entry))
        return 0
    header = ["name", "weights", "input", "params", "MACs", "top-1", "int8"]
    print(render_table(header, [_row(entry) for entry in entries], left=2))
    for command in sorted({str(entry["install"]) for entry in entries if entry["install"]}):
        print(f"\nto install: {command}")
    sources = sorted({str(entry["top1_source"]) for entry in entries if entry["top1_source"]})
    print("\nImageNet top-1 as published on:", *sources, sep="\n  ")
    return 0


def _row(entry: dict[str, Any]) -> list[str]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return [
        entry["name"] + (" (default)" if entry["default"] else ""),
        _WHERE[entry["weights"]],
        f"{entry['input_size']} px",
        f"{entry['parameters'] / 1e6:.2f} M",
        number(entry["multiply_adds_millions"], "d") + " M" * (entry["multiply_adds_millions"] is not None),
        number(entry["imagenet_top1_percent"], ".1f"),
        f"{entry['expected_int8_bytes'] / 1e6:.1f} MB",
    ]
