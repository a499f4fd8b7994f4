"""What the device install takes on disk, distribution by distribution, and how much of it ``runtime`` touches.

    python -m tests.benchmarks.installed_size MODEL.tflite PHOTO.jpg

The environment is the one of the tests: a fresh virtual environment with what ``pip install .`` gives. "Loaded" are the
files that a process has open or mapped after it has classified the photograph and loaded every module of ``runtime``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.environments import LOCK_FILE, make_environment

_LOADED = """
import importlib, json, pkgutil, sys
import runtime
from runtime.cli import main
assert main(["classify", "--json", "--model", sys.argv[1], sys.argv[2]]) == 0
for found in pkgutil.walk_packages(runtime.__path__, "runtime."):
    if found.name != "runtime.__main__":
        importlib.import_module(found.name)
files = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
with open("/proc/self/maps") as maps:
    files |= {line.split(None, 5)[5].strip() for line in maps if "/" in line}
print(json.dumps(sorted(files)))
"""


def size(path: Path) -> int:
    """Bytes of a file, or of a folder's files."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def distributions(site: Path) -> dict[str, list[Path]]:
    """Distribution -> its files, as its RECORD lists them."""
    found = {}
    for record in site.glob("*.dist-info/RECORD"):
        name = record.parent.name.split("-")[0]
        files = [site / line.rsplit(",", 2)[0] for line in record.read_text("utf-8").splitlines()]
        found[name] = [file.resolve() for file in files if file.is_file()]
    return found


def main() -> None:
    """Print the table."""
    model, photo = (str(Path(argument).resolve()) for argument in sys.argv[1:3])
    python = make_environment("device", dependencies=None, constraints=LOCK_FILE)
    done = subprocess.run(
        [python, "-c", _LOADED, model, photo], stdout=subprocess.PIPE, text=True, check=True, cwd=python.parent
    )
    loaded = {Path(file).resolve() for file in json.loads(done.stdout.splitlines()[-1])}
    (site,) = python.parent.parent.glob("lib/python3*/site-packages")
    print("| distribution | MB | loaded, MB | largest of what is not |\n|---|---|---|---|")
    total = used = 0
    for name, files in sorted(distributions(site).items(), key=lambda item: -sum(map(size, item[1]))):
        if name in ("pip", "setuptools"):  # they make the environment and may be removed from it
            continue
        whole, part = sum(map(size, files)), sum(size(file) for file in files if file in loaded)
        rest: Counter[str] = Counter()
        for file in files:
            if file not in loaded and file.is_relative_to(site):
                rest["/".join(file.relative_to(site).parts[:2])] += size(file)
        worst = ", ".join(f"{part} {count / 1e6:.1f}" for part, count in rest.most_common(3) if count > 100_000)
        print(f"| {name} | {whole / 1e6:.1f} | {part / 1e6:.1f} | {worst} |")
        total, used = total + whole, used + part
    print(f"| all | {total / 1e6:.1f} | {used / 1e6:.1f} | |")


if __name__ == "__main__":
    main()
