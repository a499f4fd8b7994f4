from __future__ import annotations

import dataclasses
import inspect
import pickle
from dataclasses import field

import pytest

from runtime.records import dataclass


@dataclass(frozen=True, order=True)
class Point:
    """A place."""

    x: int
    y: int = 2
    names: tuple[str, ...] = field(default=(), repr=False)
    seen: list[int] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@dataclasses.dataclass(frozen=True, order=True)
class Real:
    """The same, made by the original."""

    x: int
    y: int = 2
    names: tuple[str, ...] = field(default=(), repr=False)
    seen: list[int] = field(default_factory=list, compare=False)


def test_it_does_what_the_original_does() -> None:
    for kind in (Point, Real):
        one, other = kind(1, seen=[5]), kind(1, 2)
        assert (one.x, one.y, one.names, one.seen, other.seen) == (1, 2, (), [5], [])
        assert one == other
        assert hash(one) == hash(other)
        assert one != kind(2)
        assert one != 1
        assert sorted([kind(3), kind(2, 9), kind(2, 1)]) == [kind(2, 1), kind(2, 9), kind(3)]
        assert repr(one) == f"{kind.__name__}(x=1, y=2, seen=[5])"
        assert dataclasses.replace(one, x=7) == kind(7)
        assert dataclasses.asdict(one) == {"x": 1, "y": 2, "names": (), "seen": [5]}
        assert [f.name for f in dataclasses.fields(one)] == ["x", "y", "names", "seen"]
        assert pickle.loads(pickle.dumps(one)) == one
        assert list(inspect.signature(kind).parameters) == ["x", "y", "names", "seen"]
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.x = 3  # type: ignore[misc]
        with pytest.raises(dataclasses.FrozenInstanceError):
            del one.x
        match one:
            case Point(1, 2) | Real(1, 2):
                pass
            case _:
                pytest.fail("no match")
    assert Point(1) != Real(1)


def test_defaults_are_not_shared() -> None:
    Point(1).seen.append(1)
    assert Point(1).seen == []


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, r"Point\(\) lacks the value 'x'"),
        ((1, 2, (), [], 5), {}, r"takes 4 values, not 5"),
        ((1,), {"z": 1}, r"has no value 'z'"),
        ((1,), {"x": 1}, r"'x', or has it twice"),
    ],
)
def test_wrong_values(values: tuple[int, ...], named: dict[str, int], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*values, **named)  # type: ignore[arg-type]


def test_it_is_checked_after_it_is_made() -> None:
    with pytest.raises(ValueError, match="x"):
        Point(-1)
