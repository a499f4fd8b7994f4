"""Pins that are on while labels hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.actions.action import Seen
from runtime.actions.appearing import holding
from runtime.errors import DataError, MissingPackageError, UsageError, first_line, one_line
from runtime.file_kind import shown


class SwitchPins:
    """Switches pins of a Raspberry Pi through gpiozero: on while a label holds, off otherwise and at the end.

    Args:
        pins: labels, each with its pin as gpiozero names them: ``17``, ``GPIO17``, ``BOARD11``. A pin that stands with
            several labels, by whichever of its names, is on while any of them holds.

    Raises:
        MissingPackageError: gpiozero is not installed.
        UsageError: there is no such pin, or it is in use.
        DataError: this device has no pins, or they may not be used.
    """

    def __init__(self, pins: Sequence[tuple[str, str]]) -> None:
        self._switches: dict[str, _Switch] = {}
        gpiozero = _import_gpiozero()
        try:
            for label, pin in pins:
                name = _own_name(gpiozero, pin)
                if name not in self._switches:
                    self._switches[name] = _Switch(pin, _made(pin, gpiozero, gpiozero.DigitalOutputDevice), set())
                self._switches[name].labels.add(label)
        except BaseException:
            self.close()
            raise

    def handle(self, seen: Seen) -> None:
        """Switch the pins whose labels have come or gone.

        Raises:
            DataError: a pin does not do as it is told.
        """
        held = set(holding(seen))
        for switch in self._switches.values():
            on = not held.isdisjoint(switch.labels)
            if on != bool(switch.output.value):
                try:
                    switch.output.value = on
                except Exception as error:  # of the library below gpiozero
                    why = one_line(first_line(error))
                    raise DataError(f"--gpio: pin {switch.pin} cannot be switched: {why}") from error

    def close(self) -> None:
        """All pins off, and free for others."""
        for switch in self._switches.values():
            switch.output.off()
            switch.output.close()
        self._switches.clear()


@dataclass(frozen=True)
class _Switch:
    """A pin as the user named it first, gpiozero's output, and the labels that it is on for."""

    pin: str
    output: Any
    labels: set[str]


def _import_gpiozero() -> Any:
    try:
        import gpiozero
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "--gpio needs gpiozero, which is not installed: pip install 'edge-export-toolkit[gpio]'"
        ) from error
    return gpiozero


def _own_name(gpiozero: Any, pin: str) -> str:
    """The one name that a pin has, of those by which it may be called."""

    def look_up(spec: int | str) -> Any:
        gpiozero.Device.ensure_pin_factory()
        return gpiozero.Device.pin_factory.pin(spec)

    return str(_made(pin, gpiozero, look_up))


def _made(pin: str, gpiozero: Any, make: Callable[[int | str], Any]) -> Any:
    """What gpiozero makes of a pin that the user named.

    Raises:
        UsageError: there is no such pin, or it is in use.
        DataError: this device has no pins, or they may not be used.
    """
    try:
        with warnings.catch_warnings():
            # It warns of each library that it tried in vain; the error after the last one says enough.
            warnings.simplefilter("ignore")
            return make(int(pin) if pin.isdecimal() else pin)
    except gpiozero.BadPinFactory as error:
        raise DataError(
            "--gpio: no pins can be reached here; on a Raspberry Pi: sudo apt install python3-lgpio, a virtual "
            "environment made with --system-site-packages, and a user in the group gpio"
        ) from error
    except (gpiozero.PinError, gpiozero.GPIOPinInUse) as error:
        raise UsageError(f"--gpio {shown(pin)}: {one_line(first_line(error))}") from error
    except Exception as error:  # of the library below gpiozero
        raise DataError(f"--gpio {shown(pin)}: {one_line(first_line(error))}") from error
