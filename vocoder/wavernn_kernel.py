"""A WaveRNN's steps on a CPU, compiled by numba; knows no torch, no mel and no joints.

A share of folds belongs to one thread. No sum mixes two folds and each is taken in the order of the columns, so a
fold's samples depend neither on the folds beside it nor on the number of threads.
"""

# numba reads annotations and types at run time; `from __future__ import annotations` would hide the fields' types.

import os
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from vocoder.products import Array, Codes, Matrix, compiled, draw, encode, inlined, product, sigmoid, tanh


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


@compiled
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


@compiled
def _gru(given: Array, recurrent: Array, hidden: Array) -> None:
    """One step of PyTorch's GRU from the two halves of its gates (3 * H or more), order r, z, n; hidden (H,)."""
    dims = hidden.shape[0]
    for i in range(dims):
        reset = sigmoid(given[i] + recurrent[i])
        update = sigmoid(given[dims + i] + recurrent[dims + i])
        new = tanh(given[2 * dims + i] + reset * recurrent[2 * dims + i])
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

    @compiled
    def _let_others_run() -> None:
        pass


@compiled
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


@inlined
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
        encode(state.hidden1[fold], state.codes1.values, state.codes1.factors, fold, net.limit)
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
        encode(state.hidden2[fold], state.codes2.values, state.codes2.factors, fold, net.limit)
    if alone:
        product(net.hh2, state.codes2, state.recurrent2)
    else:
        _publish(state.turns, _STATE2, turn + 1)
    for fold in range(folds):
        given = state.given
        for i in range(rnn):
            given[i] = state.hidden1[fold, i] + state.hidden2[fold, i]
        encode(given[:rnn], state.codes.values, state.codes.factors, fold, net.limit)
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


@compiled
def _rectify(state: State, fold: int, dims: int, limit: float) -> None:
    """state.codes of a fold = relu(given + layer)."""
    given, layer = state.given, state.layer[fold]
    for i in range(dims):
        given[i] = max(given[i] + layer[i], np.float32(0.0))
    encode(given[:dims], state.codes.values, state.codes.factors, fold, limit)


@compiled
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


@compiled
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
                state.x[fold] = draw(state.outputs[fold, : net.outputs], noise[fold, t], net.classes)
                samples[fold, t] = state.x[fold]
        if vain > _PATIENCE:
            _publish(state.turns, _STATE1, _END)
            return t + 1
    return samples.shape[1]
