"""What the kernels of `old_kernels.py` are compared on."""

import ml_dtypes
import numpy as np


def inputs():
    rng = np.random.default_rng(7)

    def normal(*shape, dtype=np.float32):
        return rng.standard_normal(shape).astype(dtype)

    half = ml_dtypes.bfloat16
    return [
        ("tensor_add", (normal(300, 256), normal(300, 256))),
        ("scale_and_shift", (normal(128, 512), normal(128, 1), normal(128, 1))),
        ("softmax", (normal(128, 256),)),
        ("rms_norm", (normal(256, 512), normal(128, 512))),
        ("matmul_tiled", (normal(256, 128, dtype=half), normal(256, 1024, dtype=half))),
        ("matmul_blocks", (normal(256, 256), normal(256, 1024))),
        ("transpose_free", (normal(64, 35), (5, 7))),
        ("even_and_odd", (normal(64, 128),)),
        ("attention", (normal(128, 128), normal(128, 128), normal(128, 128))),
        ("running", (normal(128, 512),)),
    ]
