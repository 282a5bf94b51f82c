"""A WaveNet unrolled in time with torch, one Python step a sample: on a GPU, and where the compiled kernel is not.

Knows no plan of folds, no seed and no wav.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vocoder.distribution import draw
from vocoder.wavenet import WaveNet
from vocoder.wavernn_loop import SILENCE, FloatArray

# Samples of all folds together whose conditioning is in memory at once.
BLOCK_SAMPLES = 4096


@torch.inference_mode()
def frames_of(network: WaveNet, mel: Tensor, first: int, stop: int) -> Tensor:
    """What the frames [first, stop] of mel (n_mels, T) add to the gates, (layers * 2 * gate, stop - first + 1).

    Beyond the mel is silence.
    """
    pad, n_frames = network.cfg.pad, mel.shape[1]
    before = first - pad
    part = mel[:, max(0, min(before, n_frames)) : max(0, min(stop + pad, n_frames))]
    missing = max(0, min(-before, stop + pad - before))
    part = F.pad(part.float(), (missing, stop + pad - before - missing - part.shape[1]), value=SILENCE)
    return network.frames(part[None].to(network.input.weight.device))[0, :, 1:]


class WaveNetLoop:
    """A WaveNet unrolled in time, with the past of its layers for a batch of B folds."""

    def __init__(self, network: WaveNet, mel: Tensor) -> None:
        """mel (n_mels, T): what is spoken, divided by the config's mel_scale; beyond its ends is silence."""
        self.cfg = network.cfg
        self._network = network
        self._mel = mel
        # (2 * gate, taps * residual), the oldest tap first.
        self._dilated = [layer.dilated.weight.transpose(1, 2).flatten(1) for layer in network.stack]
        self.begin(np.zeros(1, dtype=np.int64))

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        """Folds that begin at samples `starts` (B,), at rest."""
        cfg, like = self.cfg, self._network.input.weight
        self._starts = starts
        self._age = 0
        self._x = like.new_zeros(len(starts))
        self._past = [
            like.new_zeros(dilation * (cfg.kernel - 1), len(starts), cfg.residual) for dilation in cfg.dilations
        ]

    def run(self, noise: FloatArray) -> FloatArray:
        """The next samples (B, N) of the folds, drawn by noise (B, N, noise_per_sample) in [0, 1)."""
        folds, steps, _ = noise.shape
        block = max(1, BLOCK_SAMPLES // folds)
        made = np.empty((folds, steps), dtype=np.float32)
        with torch.inference_mode():
            for begin in range(0, steps, block):
                given = torch.from_numpy(noise[:, begin : begin + block]).permute(1, 2, 0).to(self._x.device)
                local = self.conditioning(len(given))
                outputs = torch.empty_like(given[:, 0])
                for t in range(len(given)):
                    self._x = draw(self.step(self._x, local[t]), given[t], self.cfg)
                    outputs[t] = self._x
                made[:, begin : begin + block] = outputs.t().cpu().numpy()
        return made

    def conditioning(self, steps: int) -> Tensor:
        """What the mel adds to the gates of all layers in the next steps, (steps, B, layers, 2 * gate)."""
        cfg, hop = self.cfg, self.cfg.hop_length
        rows = []
        for start in self._starts + self._age:
            first, stop = int(start) // hop, (int(start) + steps - 1) // hop + 1
            at_frames = frames_of(self._network, self._mel, first, stop).t()
            place = torch.arange(int(start), int(start) + steps, device=at_frames.device)
            frame, share = place // hop - first, (place % hop / hop).unsqueeze(-1)
            rows.append(torch.lerp(at_frames[frame], at_frames[frame + 1], share))
        return torch.stack(rows, dim=1).view(steps, len(rows), cfg.layers, 2 * cfg.gate)

    def step(self, x: Tensor, local: Tensor) -> Tensor:
        """The samples before, x (B,), and local (B, layers, 2 * gate) -> outputs of the network (B, n_classes)."""
        net, cfg = self._network, self.cfg
        hidden = torch.addcmul(net.input.bias, x.unsqueeze(-1), net.input.weight[:, 0, 0])  # type: ignore[arg-type]
        total = x.new_zeros(len(x), cfg.skip)
        for number, layer in enumerate(net.stack):
            past, dilation = self._past[number], cfg.dilations[number]
            taps = [past[(self._age + tap * dilation) % len(past)] for tap in range(cfg.kernel - 1)]
            gates = F.linear(torch.cat([*taps, hidden], dim=-1), self._dilated[number], layer.dilated.bias)
            filtered, gated = (gates + local[:, number]).chunk(2, dim=-1)
            out = F.linear(torch.tanh(filtered) * torch.sigmoid(gated), layer.out.weight[..., 0], layer.out.bias)
            past[self._age % len(past)] = hidden
            hidden = hidden + out[:, : cfg.residual]
            total = total + out[:, cfg.residual :]
        self._age += 1
        hidden = F.relu(F.linear(F.relu(total * net.skip_scale), net.head.weight[..., 0], net.head.bias))
        return F.linear(hidden, net.outputs.weight[..., 0], net.outputs.bias)
