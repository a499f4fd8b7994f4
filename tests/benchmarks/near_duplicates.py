"""How far copies and different pictures lie apart, and what finding copies costs, in one run.

    python tests/benchmarks/near_duplicates.py [FOLDER] [--sample 200] [--search 10000 100000]

The first table has the number of differing bits (of 256) between a picture and a changed copy of it, and how many
copies are found; the line below it the closest pairs of the folder, which should be copies or over the limit. The
last lines have the time of the hashes, nothing cached, and of the search among random pictures.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from runtime.images import find_images, open_image, read_image_bytes
from runtime.processors import processors
from toolkit.near_duplicates import MAX_DISTANCE, difference, near_duplicate_groups
from toolkit.signatures import BITS, Signature, signature_of
from toolkit.tables import render_table

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return stream.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 30": lambda image: jpeg(image, 30),
    "half the size": lambda image: jpeg(scaled(image, 0.5)),
    "twice the size": lambda image: jpeg(scaled(image, 2.0)),
    "brightness -20 %": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.8)),
    "brightness +20 %": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.2)),
    "contrast -20 %": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(0.8)),
    "stretched to 224 x 224": lambda image: jpeg(image.resize((224, 224))),
    "grey": lambda image: jpeg(image.convert("L")),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
    "cropped 1 % a side": lambda image: jpeg(cropped(image, 0.01)),
    "cropped 2.5 % a side": lambda image: jpeg(cropped(image, 0.025)),
    "cropped 5 % a side": lambda image: jpeg(cropped(image, 0.05)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="of pictures, at any depth")
    parser.add_argument("--sample", type=int, default=200, help="pictures that are changed (default: 200)")
    parser.add_argument("--search", type=int, nargs="*", default=[10_000, 100_000], help="numbers of random pictures")
    args = parser.parse_args()
    paths = list(find_images(args.folder))
    contents = [read_image_bytes(path) for path in paths]
    signature(contents[0])  # loading the library is not what is measured
    started = time.perf_counter()
    with ThreadPoolExecutor(2 * processors()) as pool:
        signatures = list(pool.map(signature, contents))
    seconds = time.perf_counter() - started
    print_changes(contents, signatures, max(1, len(paths) // args.sample))
    print_closest(paths, signatures)
    print(
        f"\nhashes of {len(paths)} pictures, {processors()} cores: {seconds:.2f} s, {len(paths) / seconds:.0f} a second"
    )
    for count in args.search:
        bits = np.random.default_rng(0).random((count, BITS)) < 0.5
        found = {f"{number:08x}": Signature(row, 50.0) for number, row in enumerate(bits)}
        started = time.perf_counter()
        near_duplicate_groups(found)
        print(f"search among {count:,}: {time.perf_counter() - started:.1f} s")


def signature(content: bytes) -> Signature:
    return signature_of(open_image(content, "picture"))


def print_changes(contents: list[bytes], signatures: list[Signature], step: int) -> None:
    rows = []
    for name, change in CHANGES.items():
        bits = []
        for content, before in list(zip(contents, signatures, strict=True))[::step]:
            with Image.open(io.BytesIO(content)) as image:
                bits.append(difference(before, signature(change(image.convert("RGB"))))[0])
        low, high = np.percentile(bits, [50, 97])
        found = np.mean(np.array(bits) <= MAX_DISTANCE)
        rows.append([name, f"{low:.0f}", f"{high:.0f}", f"{max(bits)}", f"{found:.1%}"])
    print(render_table(["change", "median", "97 %", "most", f"found ({MAX_DISTANCE} bits)"], rows))


def print_closest(paths: list[Path], signatures: list[Signature], shown: int = 6) -> None:
    signs = np.array([one.bits for one in signatures]) * np.float32(2) - 1
    turned = np.array([one.mirrored() for one in signatures]) * np.float32(2) - 1
    distances = (BITS - np.maximum(signs @ signs.T, signs @ turned.T)) / 2
    first, second = np.triu_indices(len(paths), 1)
    order = np.argsort(distances[first, second])[:shown]
    print("\nclosest pairs of the folder:")
    for a, b in zip(first[order], second[order], strict=True):
        print(f"  {distances[a, b]:3.0f} bits  {paths[a].name}  {paths[b].name}")


if __name__ == "__main__":
    main()
