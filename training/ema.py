"""The running average of a network's weights, for validation and export; knows no task and no files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of the trainable parameters of ``network`` (Polyak and Juditsky 1992).

    The decay grows from 0.1 to ``decay`` as (1 + n) / (10 + n), so that the random weights of the start are
    forgotten at once. Buffers such as batch-norm statistics are averages already and are not touched.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.updates = 0
        self.shadow = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, parameter in self.network.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(parameter.detach(), 1.0 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the network holds the average; afterwards, its own weights again."""
        # Values are copied, not tensors exchanged: cuDNN wants the weights of an LSTM to stay in one block of
        # memory.
        own = {name: p.detach().clone() for name, p in self.network.named_parameters() if name in self.shadow}
        self._copy(self.shadow)
        try:
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.network.named_parameters():
            if name in values:
                parameter.copy_(values[name])

    def state_dict(self) -> dict[str, object]:
        """What load_state_dict takes."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from a saved average of the same network."""
        self.updates = int(state["updates"])
        for name, value in self.shadow.items():
            value.copy_(state["shadow"][name])
