"""`NkiTensor`: the tensor that kernels hold. A view whose values can be looked at anywhere in a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import LaunchError
from opentrn.execute import access
from opentrn.isa.enums import MemoryRegion
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.storage import Storage
from opentrn.program.view import View

__all__ = ["Answer", "NkiTensor"]


class NkiTensor(View):
    """A tensor in SBUF, PSUM or HBM (nki.language.NkiTensor). Made by `nl.ndarray`; views share storage."""

    __slots__ = ()

    def __init__(
        self, shape: tuple[int, ...], dtype: str, storage: Any, buffer: Any = MemoryRegion.sbuf, name: str = ""
    ) -> None:
        """Bind a tensor to an existing storage handle (the public constructor; most code uses nl.ndarray)."""
        if not isinstance(storage, Storage):
            raise LaunchError(
                "NkiTensor needs a storage handle", site=user_site(), got=repr(storage), hint="allocate with nl.ndarray"
            )
        whole = View.whole(storage)
        View.__init__(self, storage, whole.shape, whole.strides, 0, whole.dtype)

    @property
    def base_tensor(self) -> NkiTensor:
        """The whole tensor that this is a view of, as it was allocated.

        No page has it, but production kernels read it of the weights that they are given (nki-library 2.29,
        core/moe/moe_tkg/gate_up_projection_mx.py).
        """
        return NkiTensor.whole(self.storage)

    # ------------------------------------------------------------- values, for people
    def numpy(self) -> np.ndarray:
        """The current values as a numpy array of the tensor's shape (a copy); computes what they depend on."""
        recorder = ACTIVE.recorder
        if recorder is None:
            raise LaunchError("the values of a tensor can be looked at only while its kernel runs", site=user_site())
        return recorder.state.values(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        head = f"NkiTensor{list(self.shape)} {self.dtype} {self.buffer.value}"
        head += f" {self.name!r}" if self.name else ""
        if ACTIVE.recorder is None or self.block is None or ACTIVE.recorder.state is None:
            return head
        return f"{head}\n{self._shown()}"

    def __str__(self) -> str:
        # where shapes alone are recorded `numpy` refuses: who prints a tensor asks for its values
        return repr(self) if ACTIVE.recorder is None or self.block is not None else str(self.numpy())

    def _shown(self) -> str:
        values = self.numpy()
        if self.dynamic is not None or access.ready(self):
            return np.array2string(values, threshold=64, edgeitems=3)
        missing = np.ones(self.shape, bool)
        if self.block.state:
            missing = access.shadow_of(self) != 1
            missing = missing if missing.ndim == self.ndim else missing.any(-1)
        return str(np.ma.masked_array(values.astype(np.float64), missing)) + "  (-- was never written)"

    def __format__(self, spec: str) -> str:
        if spec and self.size == 1:
            return format(self.numpy().reshape(-1)[0].item(), spec)
        return str(self)

    def __bool__(self) -> bool:
        """True: it is there. Public kernels write ``if tensor:`` for ``is not None``, whatever the tensor holds."""
        return True

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a tensor (a copy instruction) or a number (a memset) into a part of this tensor."""
        from opentrn.nki.language.memory import assign

        assign(self[key], value)


class Answer(NkiTensor):
    """What a comparison gave: ones and zeros, true where all are ones, as ``assert nl.equal(a, b)`` in the reference wants."""

    __slots__ = ()

    @classmethod
    def of(cls, tensor: NkiTensor) -> Answer:
        """The same tensor as an answer."""
        return cls._make(tensor.storage, tensor.shape, tensor.strides, tensor.offset, tensor.dtype, tensor.dynamic)

    def __bool__(self) -> bool:
        """True when every element is nonzero."""
        return bool(np.all(self.numpy() != 0))
