"""`NKIObject`: the class semantics of the NKI front end.

The compiler writes ``__init__(self, field=default or None, ...)`` and calls ``__post_init__`` for every class, with or
without ``@dataclass`` (nki-language-guide.rst, "Class Support", SDK 2.32). Public kernels rely on it: fields without a
value are None, classes without ``@dataclass`` take keywords, and un-annotated class attributes count as fields.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from opentrn.program.view import View

__all__ = ["NKIObject"]


class _Meta(type):
    """Builds instances the way the NKI front end does."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if dataclasses.is_dataclass(cls):
            return cls._dataclass_instance(args, kwargs)
        owner = next(c for c in cls.__mro__ if "__init__" in vars(c))
        if getattr(owner, "_nki_root", None) is not owner:
            return super().__call__(*args, **kwargs)
        return cls._plain_instance(args, kwargs)

    def _dataclass_instance(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for position, parameter in enumerate(parameters):
            missing = parameter.default is parameter.empty and parameter.name not in kwargs and position >= len(args)
            if missing and parameter.name in fields:
                kwargs[parameter.name] = None
        known = {p.name for p in parameters}
        extra = {n: kwargs.pop(n) for n in list(kwargs) if n not in known and hasattr(cls, n)}
        made = super().__call__(*args, **kwargs)
        for name, value in extra.items():
            object.__setattr__(made, name, value)
        return made

    def _plain_instance(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        names = list(dict.fromkeys(n for c in reversed(cls.__mro__) for n in vars(c).get("__annotations__", {})))
        if len(args) > len(names):
            raise TypeError(f"{cls.__name__}() takes at most {len(names)} positional arguments, got {len(args)}")
        given = dict(zip(names, args, strict=False)) | kwargs
        made = cls.__new__(cls)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        for name in names:
            object.__setattr__(made, name, given.pop(name, getattr(cls, name, None)))
        for name, value in given.items():
            object.__setattr__(made, name, value)
        after = getattr(made, "__post_init__", None)
        if after is not None:
            after()
        return made

    def __instancecheck__(cls, value: object) -> bool:
        # NkiTensor is an NKIObject in public; it does not inherit from it here, which keeps views small
        return super().__instancecheck__(value) or (cls is cls.__dict__.get("_nki_root") and isinstance(value, View))


class NKIObject(metaclass=_Meta):
    """Base class of classes that kernels use (nki.language.NKIObject)."""

    def __init__(self, **kwargs: Any) -> None:
        for name, value in kwargs.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        # "Equality in NKI is structural" (nki-language-guide.rst, "Enumerations")
        return type(self) is type(other) and getattr(self, "__dict__", None) == getattr(other, "__dict__", None)

    __hash__ = object.__hash__


NKIObject._nki_root = NKIObject  # type: ignore[attr-defined]
