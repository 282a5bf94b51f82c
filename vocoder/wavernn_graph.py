"""Steps of a WaveRNN recorded as one CUDA graph: a step is some 25 kernels, whose start costs more than they do.

On an H100 256 units come from 0.12 to 0.90 of real time in one piece and from 3.1 to 12.8 in twenty, 512 units from
0.17 to 0.90 and from 3.2 to 11.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from vocoder.wavernn_loop import SampleLoop, StepInputs

STEPS = 50
"""Recorded at once; what is left over is computed step by step."""


class RecordedSteps:
    """``STEPS`` steps of ``loop`` for its present number of folds B, from wherever it stands."""

    def __init__(self, loop: SampleLoop, inputs: StepInputs, noise: Tensor) -> None:
        """Takes the shapes of what ``run`` is given; the loop stays where it is."""
        self._loop = loop
        self._inputs = inputs.rows(0, STEPS).map(torch.clone)
        self._noise = noise[:STEPS].clone()
        before = loop.state
        sample, state1, state2 = before
        self._start = (sample.clone(), state1.clone(), state2.clone())
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._speak()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._made = self._speak()
            self._end = loop.state
        loop.state = before

    def run(self, inputs: StepInputs, noise: Tensor) -> Tensor:
        """Samples (N, B) of N steps with noise (N, noise_per_sample, B); the loop stands after them."""
        made = []
        whole = len(noise) - len(noise) % STEPS
        for first in range(0, whole, STEPS):
            inputs.rows(first, STEPS).copy_to(self._inputs)
            self._noise.copy_(noise[first : first + STEPS])
            for given, tensor in zip(self._start, self._loop.state, strict=True):
                given.copy_(tensor)
            self._graph.replay()
            made.append(self._made.clone())
            self._loop.state = self._end
        made.append(self._loop.speak(inputs.rows(whole, len(noise) - whole), noise[whole:]))
        return torch.cat(made)

    def _speak(self) -> Tensor:
        self._loop.state = self._start
        return self._loop.speak(self._inputs, self._noise)
