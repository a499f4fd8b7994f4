"""What is done when an int8 file loses too much: other ways to quantise, each measured like the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from converters.kinds import OF_INT8
from converters.loss import Loss
from converters.make import Maker
from converters.options import ConvertOptions
from converters.prove import Prover
from converters.quantization.balanced import balanced_network
from converters.quantization.choice import Choice, Kind
from converters.quantization.ladder import Request, best_int8
from converters.quantization.qat import finetune_quantized
from converters.ranges import Ranges
from converters.verify import ExportResult
from runtime.errors import ModelError


@dataclass(frozen=True)
class Rescued:
    """What came of it.

    Attributes:
        choice: what was tried, and the file that was taken.
        proof: of that file, as of any that is handed over; None where it may not be.
    """

    choice: Choice
    proof: ExportResult | None


def rescue(
    maker: Maker, prover: Prover, first: bytes, proof: ExportResult | ModelError, options: ConvertOptions
) -> Rescued:
    """Try other ways until a file loses no more than it may.

    Args:
        maker: of the conversion.
        prover: of the conversion.
        first: the int8 file that loses more, without metadata.
        proof: of that file, or why it has none.
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
    proofs = {first: proof}

    def judge(content: bytes, kind: Kind) -> Loss:
        # The whole proof: one that fails it may not take the place of one that chance would excuse.
        if content not in proofs:
            proofs[content] = prover.measure(kind, content, options.in_out if kind == "int8" else None)
        found = proofs[content]
        if isinstance(found, ModelError):
            raise found
        return Loss.of(found)

    choice = best_int8(request, judge, options.max_accuracy_drop, prover.notify)
    taken = proofs.get(choice.content) if choice.attempt.accepted else None
    if not isinstance(taken, ExportResult):
        return Rescued(choice, None)
    prover.file(choice.attempt.kind, choice.content)  # another of its kind may lie there
    return Rescued(choice, taken)
