"""What is done when an int8 file loses too much: other ways to quantise, each measured like the first."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from converters.make import Maker
from converters.options import ConvertOptions
from converters.prove import Prover
from converters.quantization.balanced import balanced_network
from converters.quantization.choice import Choice, Loss
from converters.quantization.ladder import Request, best_int8
from converters.quantization.qat import finetune_quantized
from converters.ranges import Ranges
from converters.verify import ExportResult, run_file


def rescue(maker: Maker, prover: Prover, first: bytes, options: ConvertOptions) -> tuple[Choice, ExportResult | None]:
    """Try other ways until a file loses no more than it may.

    Args:
        maker: of the conversion.
        prover: of the conversion.
        first: the int8 file that was refused, without metadata.
        options: of the conversion.

    Returns:
        What was chosen, and the proof of its file; None where it was refused too.
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
        finetune=finetune if options.qat else None,
    )

    def judge(content: bytes) -> Loss:
        path = prover.file("attempt", content)
        run = run_file(path, prover.reference)
        path.unlink()
        if run.accuracy_drop is None:
            return Loss((1 - run.top1_agreement) * 100)
        return Loss(run.accuracy_drop, run.paired.excuses(run.accuracy_drop))

    choice = best_int8(request, judge, options.max_accuracy_drop, prover.notify)
    if not choice.attempt.accepted:
        return choice, None
    in_out = options.in_out if choice.attempt.kind == "int8" else None
    return choice, prover.prove(choice.attempt.kind, choice.content, in_out)
