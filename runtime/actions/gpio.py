"""Pins that are on while labels hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from runtime.actions.action import Seen
from runtime.actions.appearing import holding
from runtime.errors import DataError, MissingPackageError, UsageError, first_line, one_line
from runtime.file_kind import shown


class SwitchPins:
    """Switches pins of a Raspberry Pi through gpiozero: on while a label holds, off otherwise and at the end.

    Args:
        pins: labels, each with its pin as gpiozero names them: ``17``, ``GPIO17``, ``BOARD11``. A pin that stands with
            several labels is on while any of them holds.

    Raises:
        MissingPackageError: gpiozero is not installed.
        UsageError: there is no such pin, or it is in use.
        DataError: this device has no pins, or they may not be used.
    """

    def __init__(self, pins: Sequence[tuple[str, str]]) -> None:
        self._labels: dict[str, set[str]] = {}
        for label, pin in pins:
            self._labels.setdefault(pin, set()).add(label)
        self._outputs: dict[str, Any] = {}
        gpiozero = _import_gpiozero()
        try:
            for pin in self._labels:
                self._outputs[pin] = _output(gpiozero, pin)
        except BaseException:
            self.close()
            raise

    def handle(self, seen: Seen) -> None:
        """Switch the pins whose labels have come or gone.

        Raises:
            DataError: a pin does not do as it is told.
        """
        held = set(holding(seen))
        for pin, output in self._outputs.items():
            on = not held.isdisjoint(self._labels[pin])
            if on != bool(output.value):
                try:
                    output.value = on
                except Exception as error:  # of the library below gpiozero
                    raise DataError(f"--gpio: pin {pin} cannot be switched: {one_line(first_line(error))}") from error

    def close(self) -> None:
        """All pins off, and free for others."""
        for output in self._outputs.values():
            output.off()
            output.close()
        self._outputs.clear()


def _import_gpiozero() -> Any:
    try:
        import gpiozero
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "--gpio needs gpiozero, which is not installed: pip install 'edge-export-toolkit[gpio]'"
        ) from error
    return gpiozero


def _output(gpiozero: Any, pin: str) -> Any:
    number: int | str = int(pin) if pin.isdecimal() else pin
    try:
        with warnings.catch_warnings():
            # It warns of each library that it tried in vain; the error after the last one says enough.
            warnings.simplefilter("ignore")
            return gpiozero.DigitalOutputDevice(number)
    except gpiozero.BadPinFactory as error:
        raise DataError(
            "--gpio: no pins can be reached here; on a Raspberry Pi: sudo apt install python3-lgpio, a virtual "
            "environment made with --system-site-packages, and a user in the group gpio"
        ) from error
    except (gpiozero.PinError, gpiozero.GPIOPinInUse) as error:
        raise UsageError(f"--gpio {shown(pin)}: {one_line(first_line(error))}") from error
    except Exception as error:  # of the library below gpiozero
        raise DataError(f"--gpio {shown(pin)}: {one_line(first_line(error))}") from error
