"""moto holds on to every object that it has ever made; a server that runs for long must not."""

from typing import Any

from moto.core.common_models import BaseModel
from moto.s3.models import FakeKey


def let_go() -> None:
    """Let objects go that nothing refers to but the lists for moto's dashboard and its resets.

    What those would have done for objects of S3, closing their files, is done when they go.
    """
    BaseModel.__new__ = _new  # type: ignore[method-assign]
    FakeKey.__del__ = FakeKey.dispose  # type: ignore[method-assign]


def _new(cls: type[BaseModel], *_: Any, **__: Any) -> BaseModel:
    """Stand in for ``BaseModel.__new__``, which puts what it makes into a list."""
    return object.__new__(cls)
