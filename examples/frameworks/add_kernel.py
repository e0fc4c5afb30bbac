"""Addition in tiles of 128 x 512."""

import nki
import nki.isa as nisa
import nki.language as nl


@nki.jit
def nki_add(a, b):
    """a + b, of shapes (M, N): M a multiple of 128, N of 512."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    for m in range(0, a.shape[0], 128):
        for n in range(0, a.shape[1], 512):
            here = (slice(m, m + 128), slice(n, n + 512))
            x = nl.ndarray((128, 512), dtype=a.dtype, buffer=nl.sbuf)
            y = nl.ndarray((128, 512), dtype=a.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=x, src=a[here])
            nisa.dma_copy(dst=y, src=b[here])
            nisa.tensor_tensor(dst=x, data1=x, data2=y, op=nl.add)
            nisa.dma_copy(dst=out[here], src=x)
    return out
