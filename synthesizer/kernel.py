"""A matrix product for the few lines that are spoken at once, compiled by numba; knows no network.

A step reads every weight of the decoder once, so that its time is the time to read them. BLAS reaches half of the
memory's speed with one row on the left and a fifth of the processor's with four. Importing this module imports numba.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float32]

@njit(
    "void(float32[:, ::1], float32[:, :], float32[:, ::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"nsz", "reassoc", "contract"},
)
def accumulate(out: FloatArray, x: FloatArray, matrix: FloatArray) -> None:
    """out (B, N) += x (B, K) @ matrix (K, N), K a multiple of 8; x may be a part of wider rows."""
    for k in range(0, matrix.shape[0], 8):
        m0, m1, m2, m3 = matrix[k], matrix[k + 1], matrix[k + 2], matrix[k + 3]
        m4, m5, m6, m7 = matrix[k + 4], matrix[k + 5], matrix[k + 6], matrix[k + 7]
        for line in range(x.shape[0]):
            row = out[line]
            x0, x1, x2, x3 = x[line, k], x[line, k + 1], x[line, k + 2], x[line, k + 3]
            x4, x5, x6, x7 = x[line, k + 4], x[line, k + 5], x[line, k + 6], x[line, k + 7]
            for n in range(row.size):
                first = m0[n] * x0 + m1[n] * x1 + m2[n] * x2 + m3[n] * x3
                row[n] += first + (m4[n] * x4 + m5[n] * x5 + m6[n] * x6 + m7[n] * x7)
