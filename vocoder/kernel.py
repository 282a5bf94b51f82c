"""A WaveRNN's steps on a CPU, compiled by numba: products, gates and draws; knows no torch, no mel and no joints.

A step of one fold reads every weight once, so the time goes into the products of matrices with a few vectors. numba
alone makes poor ones: LLVM does not find out by itself that a block of sums should stay in registers. `_tile` therefore
says so in LLVM's own vector operations, which fit any processor; everything else is plain Python for numba. On an AVX2
core (Zen 3) a tile reaches 40 billion multiply-adds a second in float32, twice those of torch's addmm for 8 to 16
folds, and 75 billion in integers: int16 pairs are multiplied and added by one instruction.

A share of folds belongs to one thread. No sum mixes two folds and each is taken in the order of the columns, so a
fold's samples depend neither on the folds beside it nor on the number of threads.
"""

# numba reads annotations and types at run time; `from __future__ import annotations` would hide the fields' types.

import math
import os
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
_OPTIONS: dict[str, Any] = {
    "cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz", "reassoc", "contract", "arcp"},
}  # fmt: skip
_compiled = njit(**_OPTIONS)
# Compiled once, within its caller, and not by itself too.
_inlined = njit(**_OPTIONS, inline="always")


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


class Net(NamedTuple):
    """Weights of the steps. The input layer is linear, so that its share of each later layer is known ahead.

    from_sample (6 * rnn + fc,): what the sample before adds to the gates of both GRUs and to fc1.
    """

    hh1: Matrix
    ih2: Matrix
    hh2: Matrix
    fc1: Matrix
    fc2: Matrix
    fc3: Matrix
    from_sample: Array
    limit: float
    """Highest whole number in integer codes: with it no sum overflows 32 bits."""
    outputs: int
    """Width of the last layer."""
    classes: bool
    """Whether the outputs are logits of classes; otherwise they are a mixture of logistics."""


class Frames(NamedTuple):
    """What the mel adds to the layers, from frame `first` on, for a stretch of F frames.

    constant (F, 6 * rnn + 2 * fc): gates of both GRUs, fc1, fc2; the same within a frame.
    smooth (F + taps - 1, 6 * rnn + fc): to be interpolated, sample p of a frame with weights[p] (hop, taps).
    """

    first: int
    constant: Array
    smooth: Array
    weights: Array


class State(NamedTuple):
    """B folds between two steps, and the room that a step needs."""

    place: Array
    """(B,) int64: the sample that comes next."""
    x: Array
    """(B,): the sample before, in [-1, 1]."""
    hidden1: Array
    hidden2: Array
    codes1: Codes
    codes2: Codes
    recurrent1: Array
    """(B, 3 * rnn or more): product of hh1 and the state, made as soon as the state is there."""
    recurrent2: Array
    gates2: Array
    codes: Codes
    given: Array
    """(4 * max(rnn, fc),): the conditioning of one layer of one fold."""
    layer: Array
    outputs: Array
    """(B, n_classes or more)."""
    turns: Array
    """int64: how far the two threads that share a fold are, each number in a cache line of its own."""


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


@_compiled
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


@_compiled
def _exp(x: Any) -> Any:
    """exp of a float32 x <= 0, in a form that LLVM can do for eight numbers at once (libm's it cannot)."""
    y = max(x, _LOWEST) * _LOG2_E
    whole = np.int32(y - _HALF)
    f = y - np.float32(whole)
    p = _ONE + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6)))))
    return p * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@_compiled
def _sigmoid(x: Any) -> Any:
    e = _exp(-abs(x))
    return (_ONE if x >= np.float32(0.0) else e) / (_ONE + e)


@_compiled
def _tanh(x: Any) -> Any:
    e = _exp(-_TWO * abs(x))
    return math.copysign((_ONE - e) / (_ONE + e), x)


def _encode(vector: Array, values: Array, factors: Array, fold: int, limit: float) -> None:
    """Write the vector (K,) as codes of a fold."""
    raise NotImplementedError("only compiled, see _encode_as")


@overload(_encode, strict=False, jit_options={"fastmath": {"nnan", "nsz", "contract"}})
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


@_compiled
def _condition(net: Net, frames: Frames, state: State, fold: int, begin: int, count: int) -> None:
    """state.given[:count] = entries begin, begin + 1 ... of what the mel and the sample before add to the layers."""
    hop, taps = frames.weights.shape
    frame = state.place[fold] // hop - frames.first
    weights = frames.weights[state.place[fold] % hop]
    given, x = state.given, state.x[fold]
    constant, from_sample = frames.constant[frame, begin : begin + count], net.from_sample[begin : begin + count]
    for i in range(count):
        given[i] = constant[i] + x * from_sample[i]
    for tap in range(taps):
        weight = weights[tap]
        if weight != np.float32(0.0):
            smooth = frames.smooth[frame + tap, begin : begin + count]
            for i in range(count):
                given[i] += weight * smooth[i]


@_compiled
def _gru(given: Array, recurrent: Array, hidden: Array) -> None:
    """One step of PyTorch's GRU from the two halves of its gates (3 * H or more), order r, z, n; hidden (H,)."""
    dims = hidden.shape[0]
    for i in range(dims):
        reset = _sigmoid(given[i] + recurrent[i])
        update = _sigmoid(given[dims + i] + recurrent[dims + i])
        new = _tanh(given[2 * dims + i] + reset * recurrent[2 * dims + i])
        hidden[i] = new + update * (hidden[i] - new)


def _store(typing: Any, turns: Any, which: Any, turn: Any) -> Any:
    """turns[8 * which] = turn; what this thread wrote before is visible to whoever has seen it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _turn_pointer(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(turns, types.int64, types.int64), generate


def _load(typing: Any, turns: Any, which: Any) -> Any:
    """turns[8 * which], as `_publish` wrote it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_turn_pointer(context, builder, signature, args), "acquire", 8)

    return types.int64(turns, types.int64), generate


def _turn_pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [builder.mul(args[1], ir.Constant(ir.IntType(64), 8))])


# Called with arguments that only the compiler gives: to mypy they are of any type.
_publish: Any = intrinsic(_store)
_published: Any = intrinsic(_load)

TWO_THREADS = hasattr(os, "sched_yield")
"""Whether two threads can share a fold: the one that waits must be able to let another run."""
# A step's products take some 20 microseconds; who waits longer waits for a thread that does not run.
_SPINS = 20_000
# So often in a block, and the other thread is given up: on a busy machine each time may cost milliseconds.
_PATIENCE = 20
if TWO_THREADS:
    _let_others_run = types.ExternalFunction("sched_yield", types.int32())
else:

    @_compiled
    def _let_others_run() -> None:
        pass


@_compiled
def _wait(turns: Array, which: int, turn: int) -> int:
    """Return when turns[8 * which] is at least `turn`: how often another thread was let run meanwhile."""
    spins = 0
    while _published(turns, which) < turn:
        spins += 1
        if spins % _SPINS == 0:
            _let_others_run()
    return spins // _SPINS


_STATE1, _STATE2, _PRODUCT1, _PRODUCT2, _READY = 0, 1, 2, 3, 4
_END = 2**62


@_inlined
def _step(net: Net, frames: Frames, state: State, turn: int, alone: bool) -> int:
    """state.outputs from state.x; place moves on. Not alone: `follow` makes the products of both states meanwhile.

    Returns how often the other thread was waited for in vain.
    """
    vain = 0
    folds, rnn = state.hidden1.shape
    gates = 3 * rnn
    fc = (frames.constant.shape[1] - 2 * gates) // 2
    if not alone:
        vain += _wait(state.turns, _PRODUCT1, turn)
    for fold in range(folds):
        _condition(net, frames, state, fold, 0, gates)
        _gru(state.given, state.recurrent1[fold], state.hidden1[fold])
        _encode(state.hidden1[fold], state.codes1.values, state.codes1.factors, fold, net.limit)
    if alone:
        product(net.hh1, state.codes1, state.recurrent1)
    else:
        _publish(state.turns, _STATE1, turn + 1)
    product(net.ih2, state.codes1, state.gates2)
    if not alone:
        vain += _wait(state.turns, _PRODUCT2, turn)
    for fold in range(folds):
        _condition(net, frames, state, fold, gates, gates)
        given = state.given
        for i in range(gates):
            given[i] += state.gates2[fold, i]
        _gru(given, state.recurrent2[fold], state.hidden2[fold])
        _encode(state.hidden2[fold], state.codes2.values, state.codes2.factors, fold, net.limit)
    if alone:
        product(net.hh2, state.codes2, state.recurrent2)
    else:
        _publish(state.turns, _STATE2, turn + 1)
    for fold in range(folds):
        given = state.given
        for i in range(rnn):
            given[i] = state.hidden1[fold, i] + state.hidden2[fold, i]
        _encode(given[:rnn], state.codes.values, state.codes.factors, fold, net.limit)
    product(net.fc1, state.codes, state.layer)
    for fold in range(folds):
        _condition(net, frames, state, fold, 2 * gates, fc)
        _rectify(state, fold, fc, net.limit)
    product(net.fc2, state.codes, state.layer)
    for fold in range(folds):
        frame = state.place[fold] // frames.weights.shape[0] - frames.first
        constant = frames.constant[frame, 2 * gates + fc :]
        given = state.given
        for i in range(fc):
            given[i] = constant[i]
        _rectify(state, fold, fc, net.limit)
        state.place[fold] += 1
    product(net.fc3, state.codes, state.outputs)
    return vain


@_compiled
def _rectify(state: State, fold: int, dims: int, limit: float) -> None:
    """state.codes of a fold = relu(given + layer)."""
    given, layer = state.given, state.layer[fold]
    for i in range(dims):
        given[i] = max(given[i] + layer[i], np.float32(0.0))
    _encode(given[:dims], state.codes.values, state.codes.factors, fold, limit)


@_compiled
def follow(net: Net, state: State, steps: int) -> None:
    """The products of the states for `steps` steps, in a thread beside the one that runs `speak` with alone=False."""
    turns = state.turns
    _publish(turns, _READY, 1)
    for turn in range(1, steps + 1):
        _wait(turns, _STATE1, turn)
        if _published(turns, _STATE1) == _END:
            break
        product(net.hh1, state.codes1, state.recurrent1)
        _publish(turns, _PRODUCT1, turn)
        _wait(turns, _STATE2, turn)
        product(net.hh2, state.codes2, state.recurrent2)
        _publish(turns, _PRODUCT2, turn)


# So much less than one that a threshold is below the sum after rounding.
_BELOW = np.float32(1.0 - 2.0**-20)


@_compiled
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


@_compiled
def _draw(outputs: Array, noise: Array, classes: bool) -> Any:
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


@_compiled
def speak(
    net: Net, frames: Frames, state: State, noise: Array, samples: Array, outputs: Array, alone: bool
) -> int:
    """The next samples (B, n) of the folds, drawn by noise (B, n, noise_per_sample) in [0, 1).

    With outputs (B, n, n_classes), not of length 0, the samples are given as those before, and the outputs go there.
    Returns the number of steps made: fewer than n when the thread that runs `follow` is not given a processor.
    """
    given = outputs.shape[1] > 0
    vain = 0
    if not alone:
        _wait(state.turns, _READY, 1)
    for t in range(samples.shape[1]):
        if given:
            state.x[:] = samples[:, t]
        vain += _step(net, frames, state, t, alone)
        for fold in range(samples.shape[0]):
            if given:
                outputs[fold, t] = state.outputs[fold, : net.outputs]
            else:
                state.x[fold] = _draw(state.outputs[fold, : net.outputs], noise[fold, t], net.classes)
                samples[fold, t] = state.x[fold]
        if vain > _PATIENCE:
            _publish(state.turns, _STATE1, _END)
            return t + 1
    return samples.shape[1]
