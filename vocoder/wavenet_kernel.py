"""A WaveNet's steps on a CPU, compiled by numba; knows no torch, no mel and no joints.

Each layer keeps its inputs for as long as its dilated taps reach back, so that a step multiplies every tap once and
computes nothing again (Le Paine et al. 2016, "Fast Wavenet Generation Algorithm", arXiv 1611.09482).
"""

# numba reads annotations and types at run time; `from __future__ import annotations` would hide the fields' types.

from typing import NamedTuple

import numpy as np

from vocoder.products import Array, Codes, Matrix, compiled, draw, encode, inlined, product, sigmoid, tanh


class Net(NamedTuple):
    """Weights of the steps; the matrices of all layers have a first axis more, one entry a layer.

    The columns of `dilated` are the taps, the oldest first.
    """

    from_sample: Array
    """(residual,): what a sample gives to the first layer."""
    input_bias: Array
    dilated: Matrix
    out: Matrix
    head: Matrix
    last: Matrix
    dilations: Array
    """(layers,) int64"""
    offsets: Array
    """(layers,) int64: where a layer's past begins in the state's."""
    skip_scale: float
    limit: float
    """Highest whole number in integer codes: with it no sum overflows 32 bits."""
    outputs: int
    """Width of the last layer."""
    classes: bool
    """Whether the outputs are logits of classes; otherwise they are a mixture of logistics."""


class Frames(NamedTuple):
    """What the mel adds to the gates, from frame `first` on: values (F + 1, layers, 2 * gate), linear in between."""

    first: int
    hop: int
    values: Array


class State(NamedTuple):
    """B folds between two steps, and the room that a step needs."""

    place: Array
    """(B,) int64: the sample that comes next."""
    age: Array
    """(1,) int64: steps since the folds began."""
    x: Array
    """(B,): the sample before, in [-1, 1]."""
    past: Array
    """(B, rows, residual): each layer's inputs in a ring of dilation * (kernel - 1) rows."""
    hidden: Array
    total: Array
    taps: Codes
    gates: Array
    gated: Codes
    room: Array
    added: Array
    summed: Codes
    layer: Array
    outputs: Array
    """(B, n_classes or more)."""


@compiled
def _of_layer(matrix: Matrix, layer: int) -> Matrix:
    return Matrix(matrix.blocks[layer], matrix.scale[layer], matrix.bias[layer])


@inlined
def _step(net: Net, frames: Frames, state: State) -> None:
    """state.outputs from state.x; place and age move on."""
    folds, residual = state.hidden.shape
    layers, gate, skip = len(net.dilations), frames.values.shape[2] // 2, state.total.shape[1]
    taps = state.room.shape[0] // residual
    age = state.age[0]
    for fold in range(folds):
        hidden, x = state.hidden[fold], state.x[fold]
        for i in range(residual):
            hidden[i] = net.input_bias[i] + x * net.from_sample[i]
        state.total[fold, :] = np.float32(0.0)
    for layer in range(layers):
        dilation, offset = net.dilations[layer], net.offsets[layer]
        length = dilation * (taps - 1)
        for fold in range(folds):
            hidden, past, room = state.hidden[fold], state.past[fold], state.room
            for tap in range(taps - 1):
                row = past[offset + (age + tap * dilation) % length]
                for i in range(residual):
                    room[tap * residual + i] = row[i]
            row = past[offset + age % length]
            for i in range(residual):
                room[(taps - 1) * residual + i] = hidden[i]
                row[i] = hidden[i]
            encode(room, state.taps.values, state.taps.factors, fold, net.limit)
        product(_of_layer(net.dilated, layer), state.taps, state.gates)
        for fold in range(folds):
            place = state.place[fold]
            frame = place // frames.hop - frames.first
            share = np.float32(place % frames.hop) / np.float32(frames.hop)
            before, after = frames.values[frame, layer], frames.values[frame + 1, layer]
            gates = state.gates[fold]
            for i in range(2 * gate):
                gates[i] += before[i] + share * (after[i] - before[i])
            for i in range(gate):
                gates[i] = tanh(gates[i]) * sigmoid(gates[gate + i])
            encode(gates[:gate], state.gated.values, state.gated.factors, fold, net.limit)
        product(_of_layer(net.out, layer), state.gated, state.added)
        for fold in range(folds):
            hidden, total, added = state.hidden[fold], state.total[fold], state.added[fold]
            for i in range(residual):
                hidden[i] += added[i]
            for i in range(skip):
                total[i] += added[residual + i]
    scale = np.float32(net.skip_scale)
    for fold in range(folds):
        total = state.total[fold]
        for i in range(skip):
            total[i] = max(total[i] * scale, np.float32(0.0))
        encode(total, state.summed.values, state.summed.factors, fold, net.limit)
        state.place[fold] += 1
    product(net.head, state.summed, state.layer)
    for fold in range(folds):
        layer_out = state.layer[fold]
        for i in range(skip):
            layer_out[i] = max(layer_out[i], np.float32(0.0))
        encode(layer_out[:skip], state.summed.values, state.summed.factors, fold, net.limit)
    product(net.last, state.summed, state.outputs)
    state.age[0] += 1


@compiled
def speak(net: Net, frames: Frames, state: State, noise: Array, samples: Array, outputs: Array) -> None:
    """The next samples (B, n) of the folds, drawn by noise (B, n, noise_per_sample) in [0, 1).

    With outputs (B, n, n_classes), not of length 0, the samples are given as those before, and the outputs go there.
    """
    given = outputs.shape[1] > 0
    for t in range(samples.shape[1]):
        if given:
            state.x[:] = samples[:, t]
        _step(net, frames, state)
        for fold in range(samples.shape[0]):
            if given:
                outputs[fold, t] = state.outputs[fold, : net.outputs]
            else:
                state.x[fold] = draw(state.outputs[fold, : net.outputs], noise[fold, t], net.classes)
                samples[fold, t] = state.x[fold]
