"""What is done when an int8 file loses too much: other ways to quantise, each measured like the first."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from converters.kinds import OF_INT8
from converters.loss import Loss
from converters.make import Maker
from converters.min_runtime import require_runtime
from converters.options import ConvertOptions
from converters.prove import Prover
from converters.quantization.balanced import balanced_network
from converters.quantization.choice import Choice
from converters.quantization.ladder import Request, best_int8
from converters.quantization.qat import finetune_quantized
from converters.ranges import Ranges
from converters.verify import run_file
from runtime.model_file import ModelFile


def rescue(maker: Maker, prover: Prover, first: bytes, options: ConvertOptions) -> Choice:
    """Try other ways until a file loses no more than it may.

    Args:
        maker: of the conversion.
        prover: of the conversion.
        first: the int8 file that loses more, without metadata.
        options: of the conversion.

    Raises:
        ModelError: no file came of any of them.
    """
    preprocessing = prover.spec.preprocessing

    def finetune(float32: bytes, images: NDArray[Any], ranges: Ranges) -> tuple[bytes, Ranges]:
        return finetune_quantized(float32, images, ranges, preprocessing, options.qat, notify=prover.notify)

    request = Request(
        maker.float32,
        maker.images,
        preprocessing,
        options.in_out,
        ranges=maker.ranges,
        first=first,
        more_images=maker.all_images,
        balance=balanced_network,
        integers_only=bool(OF_INT8 & set(options.formats)),
        finetune=finetune if options.qat else None,
    )

    def judge(content: bytes) -> Loss:
        path = prover.file("attempt", content)
        require_runtime(ModelFile.read(path), "int8", options.min_runtime)
        run = run_file(path, prover.reference)
        path.unlink()
        return Loss.of(run)

    return best_int8(request, judge, options.max_accuracy_drop, prover.notify)
