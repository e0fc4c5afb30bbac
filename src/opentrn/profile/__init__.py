"""What a timeline means: reports as data, then as text, pages and files. Everything here reads a `timing.Timeline`.

``opentrn.profile(kernel)(*args)`` is a public name and this folder is another: importing a folder's module makes the
folder an attribute of `opentrn`, so the module itself can be called, and hands the call to `opentrn.nki.profile`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Profile(ModuleType):
    def __call__(self, kernel: Any, **options: Any) -> Any:
        return import_module("opentrn.nki.profile").profile(kernel, **options)


sys.modules[__name__].__class__ = _Profile
