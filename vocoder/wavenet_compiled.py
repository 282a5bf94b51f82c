"""A WaveNet made ready for the compiled kernel: weights packed, mels projected.

Knows no plan of folds, no seed and no wav. Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from vocoder import products
from vocoder import wavenet_kernel as kernel
from vocoder.packing import pack, room_for_codes
from vocoder.shared_folds import FloatArray, SharedFolds
from vocoder.wavenet import WaveNet
from vocoder.wavenet_loop import frames_of


class CompiledWaveNet:
    """The weights of a WaveNet as they were when this was made, in one of `vocoder.config.PRECISIONS`."""

    def __init__(self, network: WaveNet, precision: str = "float32") -> None:
        self.cfg = cfg = network.cfg
        packed = {name: [_pack(conv, precision) for conv in convs] for name, convs in _convolutions(network).items()}
        layers = {name: [matrix for matrix, _ in pairs] for name, pairs in packed.items()}
        dilations = np.array(cfg.dilations, dtype=np.int64)
        lengths = dilations * (cfg.kernel - 1)
        self._rows = int(lengths.sum())
        self.net = kernel.Net(
            from_sample=network.input.weight.detach().cpu().float().flatten().numpy().copy(),
            input_bias=network.input.bias.detach().cpu().float().numpy().copy(),  # type: ignore[union-attr]
            dilated=_stack(layers["dilated"]), out=_stack(layers["out"]), head=layers["head"][0],
            last=layers["last"][0], dilations=dilations, offsets=np.cumsum(lengths) - lengths,
            skip_scale=network.skip_scale, limit=float(min(limit for pairs in packed.values() for _, limit in pairs)),
            outputs=cfg.n_classes, classes=cfg.mode == "RAW",
        )  # fmt: skip
        self._precision = precision

    def state(self, starts: npt.NDArray[np.int64]) -> kernel.State:
        """Folds that begin at samples `starts` (B,), at rest."""
        cfg, net, folds = self.cfg, self.net, len(starts)

        def room(columns: int) -> FloatArray:
            return np.zeros((folds, columns), dtype=np.float32)

        def codes(columns: int) -> products.Codes:
            return room_for_codes(folds, columns, self._precision)

        return kernel.State(
            place=starts.astype(np.int64), age=np.zeros(1, np.int64), x=np.zeros(folds, np.float32),
            past=np.zeros((folds, self._rows, cfg.residual), np.float32), hidden=room(cfg.residual),
            total=room(cfg.skip), taps=codes(cfg.kernel * cfg.residual), gates=room(net.dilated.bias.shape[1]),
            gated=codes(cfg.gate), room=np.zeros(cfg.kernel * cfg.residual, np.float32),
            added=room(net.out.bias.shape[1]), summed=codes(cfg.skip), layer=room(len(net.head.bias)),
            outputs=room(len(net.last.bias)),
        )  # fmt: skip


class CompiledWaveNetLoop(SharedFolds[kernel.State, kernel.Frames]):
    """A WaveNet unrolled in time by the kernel, with its state for a batch of B folds."""

    def __init__(self, compiled: CompiledWaveNet, network: WaveNet, mel: Tensor, threads: int) -> None:
        """mel (n_mels, T): what is spoken, divided by the config's mel_scale; beyond its ends is silence."""
        self._compiled = compiled
        self._network = network
        self._mel = mel
        super().__init__(network.cfg, mel.shape[1], threads)

    def _share(self, starts: npt.NDArray[np.int64]) -> kernel.State:
        return self._compiled.state(starts)

    def _project(self, first: int, stop: int) -> kernel.Frames:
        cfg = self._network.cfg
        values = frames_of(self._network, self._mel, first, stop).t().contiguous()
        return kernel.Frames(first, cfg.hop_length, values.view(-1, cfg.layers, 2 * cfg.gate).numpy())

    def _speak(
        self, share: kernel.State, frames: kernel.Frames, noise: FloatArray, samples: FloatArray, outputs: FloatArray
    ) -> None:
        kernel.speak(self._compiled.net, frames, share, noise, samples, outputs)


def _convolutions(network: WaveNet) -> dict[str, list[nn.Conv1d]]:
    return {
        "dilated": [layer.dilated for layer in network.stack],
        "out": [layer.out for layer in network.stack],
        "head": [network.head],
        "last": [network.outputs],
    }


def _pack(conv: nn.Conv1d, precision: str) -> tuple[products.Matrix, int]:
    """The weights (out, in, taps) of a convolution as a matrix (out, taps * in), the oldest tap first."""
    weight = conv.weight.detach().cpu().double()
    assert conv.bias is not None
    return pack(weight.transpose(1, 2).flatten(1), conv.bias.detach().cpu().double(), precision)


def _stack(matrices: list[products.Matrix]) -> products.Matrix:
    return products.Matrix(*(np.stack(parts) for parts in zip(*matrices, strict=True)))
