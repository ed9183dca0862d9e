"""Facts that are worked out when somebody asks for them, and once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, Self, TypeVar, overload

Owner = TypeVar("Owner")
T = TypeVar("T")


class _Lazy(Generic[T]):
    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        # Where the attribute is looked for first from now on.
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value


def lazy(work_out: Callable[[Any], T]) -> _Lazy[T]:
    """``functools.cached_property`` as it is from Python 3.12 on: before, it takes a lock that costs more than most facts."""
    return _Lazy(work_out)


def once(work_out: Callable[[Owner], T]) -> Callable[[Owner], T]:
    """``lazy`` for a function of one object that stands outside of its class: the object keeps the answer."""
    name = f"{work_out.__module__}.{work_out.__qualname__}"

    @wraps(work_out)
    def kept(owner: Owner) -> T:
        known = vars(owner)
        if name not in known:
            known[name] = work_out(owner)
        found: T = known[name]
        return found

    return kept
