"""Training steps recorded as CUDA graphs: forward and backward as one launch; knows no task and no optimizer.

A recurrent network's step is thousands of small kernels, and starting them from Python takes several times as long as
running them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[Any], tuple[Tensor, dict[str, Tensor | float]]]

_WARM_UPS = 2
"""Passes before a recording: libraries choose their algorithms and take their workspaces."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    batch: Any
    loss: Tensor
    metrics: dict[str, Tensor | float]
    gradients: list[Tensor | None]


class GraphedLoss:
    """Gradients of a loss by replaying what was recorded for a batch of the same shape.

    ``parameters`` are all that the loss is trained for, ``buffers`` what a forward pass may change. Batches are
    dataclasses of tensors (or None) on a CUDA device, and the loss must never wait for the device: no ``.item()``, no
    tensor from the host.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], buffers: Sequence[Tensor]) -> None:
        self._parameters, self._buffers = parameters, buffers
        self._recordings: dict[Hashable, _Recording] = {}
        self._pool: Any = None

    def __call__(self, loss: Loss, batch: Any, phase: Hashable) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Value and metrics of ``loss(batch)``; gradients are left in the parameters, as ``backward`` does.

        phase: what the loss depends on besides the batch.
        """
        key = (phase, *((name, tuple(value.shape)) for name, value in _tensors(batch).items()))
        recording = self._recordings.get(key)
        if recording is None:
            recording = self._recordings[key] = self._record(loss, batch)
        for name, value in _tensors(batch).items():
            getattr(recording.batch, name).copy_(value)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        # The next replay overwrites what this one made.
        metrics = {n: v.clone() if isinstance(v, Tensor) else v for n, v in recording.metrics.items()}
        return recording.loss.clone(), metrics

    def _record(self, loss: Loss, batch: Any) -> _Recording:
        static = replace(batch, **{name: value.clone() for name, value in _tensors(batch).items()})
        kept = [buffer.clone() for buffer in self._buffers]
        # Recording is not allowed on the default stream.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._forget_gradients()
                loss(static)[0].backward()
        torch.cuda.current_stream().wait_stream(side)
        self._forget_gradients()
        graph = torch.cuda.CUDAGraph()
        # Recordings share their memory: only one runs at a time, and what outlives it is copied.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            value, metrics = loss(static)
            value.backward()
        self._pool = graph.pool()
        gradients = [parameter.grad for parameter in self._parameters]
        with torch.no_grad():
            for buffer, before in zip(self._buffers, kept, strict=True):
                buffer.copy_(before)
        return _Recording(graph, static, value.detach(), metrics, gradients)

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def _tensors(batch: Any) -> dict[str, Tensor]:
    return {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
