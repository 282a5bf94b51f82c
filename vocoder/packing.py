"""Weights and vectors as the compiled products read them, in one of `vocoder.config.PRECISIONS`; knows no network."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vocoder import products

INT32_MAX = 2**31 - 1
# Highest code of a state beside int16 weights: 12 bits, which leaves the weights of a row of 512 about as many.
STATE_LIMIT = 4095


def pack(weight: Tensor, bias: Tensor | None, precision: str) -> tuple[products.Matrix, int]:
    """weight (R, K) as the kernel reads it, and the highest code of a vector beside it; rows of whole numbers have
    a scale of their own."""
    rows, columns = weight.shape
    w = np.zeros((-(-rows // products.ROWS) * products.ROWS, columns + columns % 2))
    w[:rows, :columns] = weight.numpy()
    pair = 2
    scale = np.ones(len(w))
    if precision == "float32":
        w, pair, limit = w[:, :columns], 1, 1
    else:
        peak, size = np.abs(w).max(axis=1), np.abs(w).sum(axis=1)
        if precision == "int8":
            scale = peak / 127
        else:
            scale = np.maximum(peak / 32767, size / (INT32_MAX // STATE_LIMIT - columns))
        scale[scale == 0] = 1.0
        w = np.rint(w / scale[:, None])
        limit = int(min(32767, INT32_MAX // max(1, np.abs(w).sum(axis=1).max())))
    kind = {"float32": np.float32, "int16": np.int16, "int8": np.int8}[precision]
    blocks = w.reshape(-1, products.ROWS, w.shape[1] // pair, pair).transpose(0, 2, 1, 3)
    biases = np.zeros(len(w), dtype=np.float32)
    if bias is not None:
        biases[:rows] = bias.numpy()
    return products.Matrix(np.ascontiguousarray(blocks, dtype=kind), scale.astype(np.float32), biases), limit


def room_for_codes(folds: int, columns: int, precision: str) -> products.Codes:
    """Vectors of zeros (folds, columns); whole numbers are multiplied in pairs."""
    kind = np.float32 if precision == "float32" else np.int16
    return products.Codes(np.zeros((folds, columns + columns % 2), kind), np.zeros(folds, np.float32))
