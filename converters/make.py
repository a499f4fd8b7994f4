"""Makes each kind of ``.tflite`` from the float32 one, and measures the pictures once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bias_correction import correct_biases
from converters.formats.dynamic_range import to_dynamic
from converters.formats.float16 import to_float16
from converters.formats.tflite import quantize_int8
from converters.mean_inputs import mean_inputs
from converters.options import ConvertOptions
from converters.quantization.wide_activations import corrected_int16x8
from converters.ranges import Ranges, measure_ranges
from converters.source import Source
from runtime.errors import EdgeExportError, ModelError, first_line
from runtime.file_kind import shown


class Maker:
    """Makes the files of one source.

    Args:
        source: the model.
        options: of the conversion.
        notify: is told in one line what happens.
    """

    def __init__(self, source: Source, options: ConvertOptions, notify: Callable[[str], None]) -> None:
        self._source, self._options, self._notify = source, options, notify

    def check_calibration(self) -> None:
        """Make sure, before anything takes long, that there are the pictures that the kinds need.

        Raises:
            ModelError: there are none, or they are damaged.
            UsageError: a stranger's model without pictures.
        """
        needing = self._options.calibrated
        if needing and not len(self.images):
            raise ModelError(
                f"{' and '.join(needing)} need calibration pictures, and {shown(Path(self._source.name))} has none"
            )

    def make(self, kind: str) -> bytes:
        """A ``.tflite`` file without metadata.

        Args:
            kind: of ``converters.kinds.KINDS``.

        Raises:
            ModelError: it cannot be made, and why.
        """
        try:
            return self._make(kind)
        except EdgeExportError:
            raise
        except Exception as error:  # whatever comes up in TensorFlow
            raise ModelError(f"TensorFlow cannot convert the model to {kind}: {first_line(error)}") from error

    def _make(self, kind: str) -> bytes:
        if kind == "int8":
            made = quantize_int8(self.float32, self.ranges, self._options.in_out)
            return correct_biases(made, self.float32, self.images, self._source.spec.preprocessing)
        if kind == "int16x8":
            return corrected_int16x8(self.float32, self.images, self._source.spec.preprocessing, self.ranges)
        if kind == "float16":
            return to_float16(self.float32, self.means)
        if kind == "dynamic":
            return to_dynamic(self.float32, self.means)
        return self.float32

    @cached_property
    def float32(self) -> bytes:
        """The file that all others are made from."""
        return self._source.float32()

    @cached_property
    def all_images(self) -> NDArray[Any]:
        """All calibration pictures that the model brings, (count, height, width, 3), 0..255."""
        return self._source.calibration_images()

    @cached_property
    def images(self) -> NDArray[Any]:
        """Calibration pictures, (count, height, width, 3), 0..255, spread evenly over those that there are."""
        images = self.all_images
        wanted = self._options.calibration_images
        if wanted is None or wanted >= len(images):
            return images
        chosen: NDArray[Any] = images[np.linspace(0, len(images) - 1, wanted).round().astype(int)]
        return chosen

    @cached_property
    def ranges(self) -> Ranges:
        """Of the float32 file's tensors."""
        self._notify(f"Measuring ranges on {len(self.images)} calibration pictures")
        return measure_ranges(self.float32, self.images, self._source.spec.preprocessing)

    @cached_property
    def means(self) -> dict[int, NDArray[np.float64]]:
        """What the layers of the float32 file are fed with on average; nothing without pictures."""
        return mean_inputs(self.float32, self.images, self._source.spec.preprocessing)
