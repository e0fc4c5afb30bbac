"""Causal flash attention in NKI: softmax(Q K^T / sqrt(d)) V for each head, without ever holding a full row of scores.

Run it anywhere:  opentrn run examples/attention.py [SEQUENCE]
"""

import math
import sys

import nki
import nki.isa as nisa
import nki.language as nl
import numpy as np

TILE = 128  # queries per tile, and rows of K and V per product with P
BLOCK = 512  # keys per block of scores: one PSUM bank of float32
NEG = -3.0e38


def load_transposed(src, rows, d):
    """(rows, d) in HBM -> (d, rows) in SBUF, through the Tensor Engine, 128 rows at a time."""
    out = nl.ndarray((d, rows), dtype=src.dtype, buffer=nl.sbuf)
    for start in range(0, rows, TILE):
        tile = nl.ndarray((TILE, d), dtype=src.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=src[start : start + TILE, :])
        flipped = nl.ndarray((d, TILE), dtype=src.dtype, buffer=nl.psum)
        nisa.nc_transpose(dst=flipped, data=tile)
        nisa.tensor_copy(dst=out[:, start : start + TILE], src=flipped)
    return out


def mask_future(scores, query, key, width):
    """Replace scores of keys after each query: query + p - (key + x) < 0."""
    nisa.affine_select(
        dst=scores,
        pattern=[[-1, width]],
        offset=query - key,
        channel_multiplier=1,
        on_true_tile=scores,
        on_false_value=NEG,
        cmp_op=nl.greater_equal,
    )


def weigh_values(p, v_tiles, key, width, d):
    """P (queries, width) times the rows of V that the block covers -> PSUM (queries, d)."""
    total = nl.ndarray((TILE, d), dtype=nl.float32, buffer=nl.psum)
    for start in range(0, width, TILE):
        flipped = nl.ndarray((TILE, TILE), dtype=p.dtype, buffer=nl.psum)
        nisa.nc_transpose(dst=flipped, data=p[:, start : start + TILE])
        p_t = nl.ndarray((TILE, TILE), dtype=p.dtype, buffer=nl.sbuf)
        nisa.tensor_copy(dst=p_t, src=flipped)
        nisa.nc_matmul(dst=total, stationary=p_t, moving=v_tiles[(key + start) // TILE], accumulate=start > 0)
    return total


def attend(q_t, k_t, v_tiles, query, d, scale):
    """One tile of 128 queries against all keys up to it, with a running maximum and sum (online softmax)."""
    top = nl.full((TILE, 1), NEG, dtype=nl.float32)  # negated running maximum is kept in `low`
    total = nl.zeros((TILE, 1), dtype=nl.float32)
    acc = nl.zeros((TILE, d), dtype=nl.float32)
    for key in range(0, query + TILE, BLOCK):
        width = min(BLOCK, query + TILE - key)
        raw = nl.ndarray((TILE, width), dtype=nl.float32, buffer=nl.psum)
        nisa.nc_matmul(dst=raw, stationary=q_t, moving=k_t[:, key : key + width])
        scores = nl.ndarray((TILE, width), dtype=nl.float32, buffer=nl.sbuf)
        nisa.activation(dst=scores, op=nl.copy, data=raw, scale=scale)
        if key + width > query:
            mask_future(scores, query, key, width)
        peak = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_reduce(dst=peak, op=nl.maximum, data=scores, axis=1)
        new_top = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_tensor(dst=new_top, data1=top, data2=peak, op=nl.maximum)
        low = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_scalar(dst=low, data=new_top, op0=nl.multiply, operand0=-1.0)
        shrink = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.activation(dst=shrink, op=nl.exp, data=top, bias=low)
        p = nl.ndarray((TILE, width), dtype=nl.bfloat16, buffer=nl.sbuf)
        row_sum = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.activation(
            dst=p,
            op=nl.exp,
            data=scores,
            bias=low,
            reduce_op=nl.add,
            reduce_res=row_sum,
            reduce_cmd=nisa.reduce_cmd.reset_reduce,
        )
        nisa.scalar_tensor_tensor(dst=total, data=total, op0=nl.multiply, operand0=shrink, op1=nl.add, operand1=row_sum)
        weighed = weigh_values(p, v_tiles, key, width, d)
        nisa.scalar_tensor_tensor(dst=acc, data=acc, op0=nl.multiply, operand0=shrink, op1=nl.add, operand1=weighed)
        top = new_top
    inverse = nl.ndarray((TILE, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.reciprocal(dst=inverse, data=total)
    out = nl.ndarray((TILE, d), dtype=nl.bfloat16, buffer=nl.sbuf)
    nisa.tensor_scalar(dst=out, data=acc, op0=nl.multiply, operand0=inverse)
    return out


@nki.jit
def attention(q, k, v):
    """q, k, v: (heads, sequence, d) in HBM, sequence a multiple of 128, d at most 128 -> the same shape, bfloat16."""
    heads, length, d = q.shape
    assert length % TILE == 0 and d <= nl.tile_size.pmax, f"sequence % {TILE} == 0 and d <= 128, got {q.shape}"
    out = nl.ndarray(q.shape, dtype=nl.bfloat16, buffer=nl.shared_hbm)
    for head in range(heads):
        q_t, k_t = load_transposed(q[head], length, d), load_transposed(k[head], length, d)
        v_tiles = []
        for start in range(0, length, TILE):
            tile = nl.ndarray((TILE, d), dtype=v.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=tile, src=v[head, start : start + TILE, :])
            v_tiles.append(tile)
        for query in range(0, length, TILE):
            result = attend(q_t[:, query : query + TILE], k_t, v_tiles, query, d, 1.0 / math.sqrt(d))
            nisa.dma_copy(dst=out[head, query : query + TILE, :], src=result)
    return out


if __name__ == "__main__":
    length = int(sys.argv[1]) if sys.argv[1:] else 512
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, length, 64)).astype(nl.bfloat16) for _ in range(3))
    got = attention(q, k, v).astype(np.float32)
    scores = np.einsum("hqd,hkd->hqk", q.astype(np.float32), k.astype(np.float32)) / math.sqrt(64)
    scores[:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ v.astype(np.float32)
    print(f"causal attention {q.shape} {q.dtype}: largest error against float32 {np.abs(got - want).max():.4f}")
