"""Dataclasses that are made in a tenth of the time: for what is loaded at every start and made seldom.

``dataclasses`` writes Python text for each method of each class and compiles it, a third of a millisecond a class on a
desktop and some milliseconds on a small device; with all the classes here a tenth of the whole start. The methods here
are the same functions for every class; an object takes two microseconds longer to make. ``fields``, ``replace``,
``asdict`` and pattern matching work as with the original, which is what type checkers see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool = False, order: bool = False) -> Callable[[type], type]:
        """As ``dataclasses.dataclass``, as far as it is used here.

        Args:
            frozen: attributes cannot be set, and objects can be hashed.
            order: objects can be sorted.
        """

        def make(made: type) -> type:
            dataclasses.dataclass(init=False, repr=False, eq=False)(made)
            methods = {"__init__": _init, "__repr__": _repr, "__eq__": _equal}
            methods["__hash__"] = _hash if frozen else None
            if frozen:
                methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
            if order:
                methods["__lt__"] = _less
            for name, method in methods.items():
                if name not in made.__dict__ or name == "__hash__":
                    setattr(made, name, method)
            made.__signature__ = _Signature()
            return made

        return make


def _init(self: Any, *values: Any, **named: Any) -> None:
    kind = type(self)
    known = kind.__dataclass_fields__
    if len(values) > len(known):
        raise TypeError(f"{kind.__name__}() takes {len(known)} values, not {len(values)}")
    for place, (name, field) in enumerate(known.items()):
        if place < len(values):
            value = values[place]
        elif name in named:
            value = named.pop(name)
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            raise TypeError(f"{kind.__name__}() lacks the value {name!r}")
        object.__setattr__(self, name, value)
    if named:
        raise TypeError(f"{kind.__name__}() has no value {next(iter(named))!r}, or has it twice")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _values(self: Any, *, compared: bool = True) -> tuple[Any, ...]:
    known = type(self).__dataclass_fields__
    return tuple(getattr(self, name) for name, field in known.items() if not compared or field.compare)


def _repr(self: Any) -> str:
    known = type(self).__dataclass_fields__
    shown = (f"{name}={getattr(self, name)!r}" for name, field in known.items() if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equal(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _less(self: Any, other: object) -> Any:
    return _values(self) < _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


class _Signature:
    """What ``help`` and notebooks show; put together when they ask."""

    def __get__(self, _: object, kind: Any) -> Any:
        import inspect

        parameters = []
        for name, field in kind.__dataclass_fields__.items():
            default = inspect.Parameter.empty
            if field.default is not dataclasses.MISSING:
                default = field.default
            elif field.default_factory is not dataclasses.MISSING:
                default = field.default_factory
            parameter = inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=field.type
            )
            parameters.append(parameter)
        return inspect.Signature(parameters)
