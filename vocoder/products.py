"""What the vocoders' compiled kernels are made of: products with a few vectors, gates, draws; knows no network.

A step of one fold reads every weight once, so the time goes into the products of matrices with a few vectors. numba
alone makes poor ones: LLVM does not find out by itself that a block of sums should stay in registers. `_tile` therefore
says so in LLVM's own vector operations, which fit any processor; everything else is plain Python for numba. On an AVX2
core (Zen 3) a tile reaches 40 billion multiply-adds a second in float32, twice those of torch's addmm for 8 to 16
folds, and 75 billion in integers: int16 pairs are multiplied and added by one instruction.

numba keeps compiled kernels by the time stamp of the kernel's own file: who changes this one must delete __pycache__.
"""

# numba reads annotations and types at run time; `from __future__ import annotations` would hide the fields' types.

import math
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

Array = npt.NDArray[Any]

# Rows of a tile: with 4 folds, half of the vector registers hold sums, the rest weights and inputs.
ROWS = 32 if llvmlite.binding.get_host_cpu_features().get("avx512bw") else 16
FOLDS = 4
# NaN does not occur (mels are checked), and sums may be taken in vectors; infinities stay as they are.
OPTIONS: dict[str, Any] = {
    "cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz", "reassoc", "contract", "arcp"},
}  # fmt: skip
compiled = njit(**OPTIONS)
# Compiled once, within its caller, and not by itself too.
inlined = njit(**OPTIONS, inline="always")


class Matrix(NamedTuple):
    """Weights (R, K) in blocks of ROWS rows: y = (blocks @ codes) * scale * factor + bias.

    blocks (ceil(R / ROWS), ceil(K / pair), ROWS, pair), float32 with pair 1, or int8 or int16 with pair 2;
    scale, bias (R rounded up to ROWS,) float32.
    """

    blocks: Array
    scale: Array
    bias: Array


class Codes(NamedTuple):
    """Vectors as a Matrix reads them: values (B, K) float32 or int16, which times factors (B,) are the vectors."""

    values: Array
    factors: Array


def _tile(folds: int) -> Any:
    """The product of one block of a Matrix with `folds` vectors, whose sums stay in registers."""

    @intrinsic
    def tile(typing: Any, matrix: Any, codes: Any, out: Any, block: Any, fold: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = [*signature.args[0].types, *signature.args[1].types, signature.args[2]]
            fields = [*cgutils.unpack_tuple(builder, args[0]), *cgutils.unpack_tuple(builder, args[1]), args[2]]
            blocks, scale, bias, values, factors, out = (
                context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, fields, strict=True)
            )
            block, first_fold = args[3:]
            index, number = ir.IntType(64), ir.IntType(32)
            whole = isinstance(kinds[0].dtype, types.Integer)
            pair = 2 if whole else 1
            code = context.get_data_type(kinds[3].dtype)
            weight = ir.VectorType(context.get_data_type(kinds[0].dtype), ROWS * pair)
            real = ir.VectorType(ir.FloatType(), ROWS)
            total = ir.VectorType(number, ROWS) if whole else real
            wide = ir.VectorType(number, ROWS * pair)

            def row(array: Any, line: Any) -> Any:
                """Pointer to a line of an array (lines, width)."""
                return builder.gep(array.data, [builder.mul(line, builder.extract_value(array.shape, 1))])

            def vector(pointer: Any, kind: Any) -> Any:
                return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1)

            def spread(value: Any) -> Any:
                """ROWS times the same scalar."""
                kind = ir.VectorType(value.type, ROWS)
                first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(number, 0))
                return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(number, ROWS), [0] * ROWS))

            def halves(x: Any) -> Any:
                """Sum of neighbours: with the product before it, LLVM makes one instruction of it (pmaddwd on x86)."""
                even, odd = (
                    builder.shuffle_vector(x, x, ir.Constant(ir.VectorType(number, ROWS), list(range(i, 2 * ROWS, 2))))
                    for i in (0, 1)
                )
                return builder.add(even, odd)

            lines = [builder.add(first_fold, ir.Constant(index, i)) for i in range(folds)]
            inputs = [
                builder.bitcast(row(values, line), (number if whole else ir.FloatType()).as_pointer()) for line in lines
            ]
            sums = [cgutils.alloca_once_value(builder, ir.Constant(total, None)) for _ in lines]
            columns = builder.extract_value(blocks.shape, 1)
            start = builder.mul(block, builder.mul(columns, ir.Constant(index, ROWS * pair)))
            weights = builder.gep(blocks.data, [start])
            with cgutils.for_range(builder, columns, intp=index) as loop:
                at = builder.mul(loop.index, ir.Constant(index, ROWS * pair))
                w = vector(builder.gep(weights, [at]), weight)
                if whole:
                    w = builder.sext(w, wide)
                for line, place in zip(inputs, sums, strict=True):
                    x = spread(builder.load(builder.gep(line, [loop.index]), align=1))
                    if whole:
                        x = builder.sext(builder.bitcast(x, ir.VectorType(code, ROWS * pair)), wide)
                        new = builder.add(builder.load(place), halves(builder.mul(w, x)))
                    else:
                        kind = ir.FunctionType(real, [real] * 3)
                        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{ROWS}f32")
                        new = builder.call(fma, [w, x, builder.load(place)])
                    builder.store(new, place)
            first_row = builder.mul(block, ir.Constant(index, ROWS))
            scales = vector(builder.gep(scale.data, [first_row]), real)
            biases = vector(builder.gep(bias.data, [first_row]), real)
            for line, place in zip(lines, sums, strict=True):
                y = builder.load(place)
                y = builder.sitofp(y, real) if whole else y
                factor = spread(builder.load(builder.gep(factors.data, [line])))
                y = builder.fadd(builder.fmul(y, builder.fmul(scales, factor)), biases)
                target = builder.gep(row(out, line), [first_row])
                builder.store(y, builder.bitcast(target, real.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(matrix, codes, out, types.intp, types.intp), generate

    return tile


_tile1, _tile2, _tile4 = _tile(1), _tile(2), _tile(FOLDS)


@compiled
def product(matrix: Matrix, codes: Codes, out: Array) -> None:
    """out (B, R rounded up to ROWS) = matrix times each of the B vectors; a block's weights are read once for all."""
    folds = out.shape[0]
    for block in range(matrix.blocks.shape[0]):
        fold = 0
        while fold + FOLDS <= folds:
            _tile4(matrix, codes, out, block, fold)
            fold += FOLDS
        if fold + 2 <= folds:
            _tile2(matrix, codes, out, block, fold)
            fold += 2
        if fold < folds:
            _tile1(matrix, codes, out, block, fold)


_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
_LOG2_E = np.float32(math.log2(math.e))
# 2**f = sum of (f * log 2)**k / k!, which for |f| <= 1/2 ends below the rounding of float32 with k = 6.
_P1, _P2, _P3, _P4, _P5, _P6 = (np.float32(math.log(2.0) ** k / math.factorial(k)) for k in range(1, 7))
_LOWEST = np.float32(-87.0)


@compiled
def _exp(x: Any) -> Any:
    """exp of a float32 x <= 0, in a form that LLVM can do for eight numbers at once (libm's it cannot)."""
    y = max(x, _LOWEST) * _LOG2_E
    whole = np.int32(y - _HALF)
    f = y - np.float32(whole)
    p = _ONE + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6)))))
    return p * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def sigmoid(x: Any) -> Any:
    e = _exp(-abs(x))
    return (_ONE if x >= np.float32(0.0) else e) / (_ONE + e)


@compiled
def tanh(x: Any) -> Any:
    e = _exp(-_TWO * abs(x))
    return math.copysign((_ONE - e) / (_ONE + e), x)


def encode(vector: Array, values: Array, factors: Array, fold: int, limit: float) -> None:
    """Write the vector (K,) as codes of a fold."""
    raise NotImplementedError("only compiled, see _encode_as")


@overload(encode, strict=False, jit_options={"fastmath": {"nnan", "nsz", "contract"}})
def _encode_as(vector: Any, values: Any, factors: Any, fold: Any, limit: Any) -> Any:
    if isinstance(values.dtype, types.Float):

        def copy(vector, values, factors, fold, limit):  # type: ignore[no-untyped-def]
            factors[fold] = _ONE
            for i in range(vector.shape[0]):
                values[fold, i] = vector[i]

        return copy

    def round_to_whole(vector, values, factors, fold, limit):  # type: ignore[no-untyped-def]
        peak = np.float32(1e-30)
        for i in range(vector.shape[0]):
            peak = max(peak, abs(vector[i]))
        factors[fold] = peak / np.float32(limit)
        inverse = np.float32(limit) / peak
        for i in range(vector.shape[0]):
            scaled = vector[i] * inverse
            values[fold, i] = np.int16(np.int32(scaled + math.copysign(_HALF, scaled)))

    return round_to_whole


# So much less than one that a threshold is below the sum after rounding.
_BELOW = np.float32(1.0 - 2.0**-20)


@compiled
def _draw_class(logits: Array, noise: float) -> int:
    """Class with the probabilities softmax(logits (C,)) by inversion of noise in [0, 1); logits become cumulative."""
    top = logits[0]
    for i in range(logits.shape[0]):
        top = max(top, logits[i])
    for i in range(logits.shape[0]):
        logits[i] = _exp(logits[i] - top)
    total = np.float32(0.0)
    for i in range(logits.shape[0]):
        total += logits[i]
        logits[i] = total
    threshold = noise * total * _BELOW
    below = 0
    for i in range(logits.shape[0]):
        below += logits[i] <= threshold
    return below


_MIN_LOG_SCALE, _LEAST = np.float32(-14.0), np.float32(1e-5)


@compiled
def draw(outputs: Array, noise: Array, classes: bool) -> Any:
    """Sample in [-1, 1] from outputs (C,) and noise as vocoder.distribution.draw reads it."""
    if classes:
        top = np.float32(outputs.shape[0] - 1)
        return np.float32(_draw_class(outputs, noise[0])) * (_TWO / top) - _ONE
    mixtures = outputs.shape[0] // 3
    chosen = _draw_class(outputs[:mixtures], noise[0])
    uniform = min(max(noise[1], _LEAST), _ONE - _LEAST)
    scale = math.exp(max(outputs[2 * mixtures + chosen], _MIN_LOG_SCALE))
    value = outputs[mixtures + chosen] + scale * (math.log(uniform) - math.log1p(-uniform))
    return np.float32(min(max(value, -1.0), 1.0))
