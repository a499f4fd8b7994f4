"""``--min-runtime``: the oldest interpreter that a file must load on."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import ModelError, UsageError
from runtime.file_kind import shown
from runtime.model_file import ModelFile, OperatorUse
from runtime.op_versions import COMPLETE_UP_TO, first_release, known_releases, newness, release_key, too_new_for

LITERT = "litert"
"""Any file that today's ai-edge-litert runs: it has all operators, and its own release numbers say nothing of them."""


def _ranges(releases: tuple[tuple[int, int], ...]) -> str:
    """Releases in words: those of one major number have no gaps."""
    majors = sorted({major for major, _ in releases})
    minors = {major: [minor for of, minor in releases if of == major] for major in majors}
    return " and ".join(f"{major}.{min(found)} to {major}.{max(found)}" for major, found in minors.items())


# Operators that appear in newer versions only for what one kind of file asks of them, and what avoids it.
_PER_CHANNEL = ("FULLY_CONNECTED", 12)
_OTHER_KINDS = {
    "dynamic": "--quantize int8 or --quantize float16",
    "int16x8": "--quantize int8",
    "int8": "--quantize float16",
    "mixed": "--quantize int8 or --quantize float16",
    "float16": "float32, which is always written",
}
# Operators that a model was built with are in every kind of file.
_KNOWN = f"known are litert, {_ranges(known_releases())}"
_CUSTOM = "build the model from TensorFlow Lite's own operators"


@dataclass(frozen=True)
class MinRuntime:
    """The oldest interpreter asked for.

    Attributes:
        version: TensorFlow's number, as ``2.14.0``; None stands for today's LiteRT.
    """

    version: str | None

    @classmethod
    def parse(cls, text: str) -> MinRuntime:
        """Read the option.

        Args:
            text: ``litert``, or a release of TensorFlow as ``2.14``, which tflite-runtime counts with.

        Raises:
            UsageError: neither.
        """
        plain = text.strip().lower()
        if plain == LITERT:
            return cls(None)
        parts = plain.split(".")
        if not all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts) or len(parts) > 3:
            raise UsageError(
                f"--min-runtime must be litert or a TensorFlow release such as 2.14, not {shown(text)!r}; {_KNOWN}"
            )
        key = release_key(plain)
        if key[:2] not in known_releases():
            raise UsageError(
                f"--min-runtime {shown(plain)}: no such release of TensorFlow Lite is known here; {_KNOWN}"
            )
        return cls(".".join(map(str, key)))

    @property
    def includes_floor(self) -> bool:
        """Whether files must load on tflite-runtime 2.14, the last of its line."""
        return self.version is not None and release_key(self.version) <= release_key(COMPLETE_UP_TO)

    def __str__(self) -> str:
        return "ai-edge-litert" if self.version is None else f"TensorFlow Lite {self.version}"


#: tflite-runtime 2.14 is the last of its line, and the only one with a wheel for 32-bit Arm.
DEFAULT_MIN_RUNTIME = MinRuntime(COMPLETE_UP_TO)


def require_runtime(file: ModelFile, kind: str, minimum: MinRuntime = DEFAULT_MIN_RUNTIME) -> None:
    """Refuse a file that the oldest interpreter asked for does not load.

    Args:
        file: as ``ModelFile.read`` gives it.
        kind: of the file, for the advice.
        minimum: the oldest interpreter.

    Raises:
        ModelError: naming operator, version, the release that has it, and what avoids it.
    """
    name = shown(file.path.name)
    custom = [op.name for op in file.operators if op.custom]
    if custom:
        raise ModelError(
            f"{name} needs the custom operator {shown(custom[0])}, which no release of TensorFlow Lite has by itself; "
            f"{_CUSTOM}"
        )
    if minimum.version is None:
        return
    too_new = too_new_for(file, minimum.version)
    if not too_new:
        return
    worst = max(too_new, key=newness)
    others = f" (and {len(too_new) - 1} more)" if len(too_new) > 1 else ""
    raise ModelError(
        f"{name} needs {worst.name} version {worst.version}{others}, which {minimum} does not have; "
        f"{_who_has(worst)}; {_advice(worst, kind)}"
    )


def _who_has(op: OperatorUse) -> str:
    release = first_release(op.name, op.version)
    if release is None:
        return "no release known here has it"
    return f"the first that has it is {release}"


def _advice(op: OperatorUse, kind: str) -> str:
    release = first_release(op.name, op.version)
    widen = f"--min-runtime {LITERT if release is None else release.removesuffix('.0')}"
    first = f"say {widen} if your devices have that" + f" (or {LITERT})" * (release is not None)
    if op.name == _PER_CHANNEL[0] and op.version >= _PER_CHANNEL[1]:
        why = "it comes from dense layers quantised channel by channel"
        return f"{first}, or avoid it with {_OTHER_KINDS.get(kind, '--quantize int8')}: {why}"
    other = _OTHER_KINDS.get(kind)
    return first if other is None else f"{first}, or avoid it with {other}"
