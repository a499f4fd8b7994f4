from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runtime.actions.gpio import SwitchPins
from runtime.errors import DataError, UsageError
from tests.runtime.seen import seen

gpiozero = pytest.importorskip("gpiozero")


def test_a_pin_is_on_while_its_label_holds(board: Any) -> None:
    with closing(SwitchPins([("cat", "17"), ("unknown", "GPIO27")])) as action:
        cat, unknown = board.pin(17), board.pin(27)
        assert (cat.state, unknown.state) == (0, 0)
        for labels, states in ((("cat",), (1, 0)), (("cat",), (1, 0)), ((), (0, 1)), (("dog",), (0, 0))):
            action.handle(seen(*labels))
            assert (cat.state, unknown.state) == states
        action.handle(seen("cat"))
    assert cat.state == 0
    assert [state.state for state in cat.states] == [False, True, False, True, False]  # switched on changes only


def test_a_pin_with_several_labels_and_a_label_with_several_pins(board: Any) -> None:
    with closing(SwitchPins([("cat", "17"), ("dog", "17"), ("cat", "BOARD13")])) as action:
        for labels, states in ((("cat", "dog"), (1, 1)), (("dog",), (1, 0)), (("向日葵",), (0, 0))):
            action.handle(seen(*labels, task="multi-label"))
            assert (board.pin(17).state, board.pin(27).state) == states


@pytest.mark.parametrize("pin", ["99", "x", "BOARD1"])
def test_pins_that_are_none(pin: str, board: Any) -> None:
    with pytest.raises(UsageError, match=f"--gpio {pin}: "):
        SwitchPins([("cat", "17"), ("cat", pin)])
    SwitchPins([("cat", "17")]).close()  # it was let go


def test_one_pin_by_two_names(board: Any) -> None:
    with closing(SwitchPins([("cat", "17"), ("dog", "GPIO17"), ("向日葵", "BOARD11")])) as action:
        for labels, state in ((("cat",), 1), (("dog",), 1), (("向日葵",), 1), ((), 0)):
            action.handle(seen(*labels))
            assert board.pin(17).state == state


@pytest.mark.skipif(Path("/dev/gpiochip0").exists(), reason="there are pins here")
def test_a_computer_without_pins() -> None:
    with pytest.raises(DataError, match="no pins can be reached here; on a Raspberry Pi: sudo apt install"):
        SwitchPins([("cat", "17")])


def test_a_pin_that_fails(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_pin: Any, _value: Any) -> None:
        raise OSError(5, "the chip is gone")

    action = SwitchPins([("cat", "17")])
    with monkeypatch.context() as patch:
        patch.setattr(type(board.pin(17)), "_change_state", broken)
        with pytest.raises(DataError, match="--gpio: pin 17 cannot be switched: .*the chip is gone"):
            action.handle(seen("cat"))
    action.close()
