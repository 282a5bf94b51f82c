"""A WaveRNN made ready for the compiled kernel: weights packed, mels projected.

Knows no plan of folds, no seed and no wav. The input layer of a WaveRNN is linear, the mels are interpolated by fixed
weights, and the other features are the same within a frame: what all these add to the gates and to the first two linear
layers is projected once a frame, not once a sample. Importing this module imports numba.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vocoder import products
from vocoder import wavernn_kernel as kernel
from vocoder.config import AUX_SPLITS
from vocoder.packing import pack, room_for_codes
from vocoder.shared_folds import NO_OUTPUTS, FloatArray, SharedFolds
from vocoder.wavernn import WaveRNN
from vocoder.wavernn_loop import context, features, with_context

# Blocks of a fold that one thread makes alone after the other was not given a processor: about a second of work.
ALONE_BLOCKS = 40


class CompiledNetwork:
    """The weights of a WaveRNN in eval mode as they were when this was made, in one of `PRECISIONS`."""

    def __init__(self, network: WaveRNN, precision: str = "float32") -> None:
        self.cfg = cfg = network.cfg
        rnn, fc = cfg.rnn_dims, cfg.fc_dims
        w = {name: value.detach().cpu().double() for name, value in network.state_dict().items()}
        ih2, fc1, fc2 = w["rnn2.weight_ih_l0"], w["fc1.weight"], w["fc2.weight"]
        # What the layers that read I's output make of it.
        after_input = torch.cat([w["rnn1.weight_ih_l0"], ih2[:, :rnn], fc1[:, :rnn]])
        from_input = after_input @ w["I.weight"]
        from_sample, self._from_mel, from_aux1 = (
            part.float() for part in from_input.split([1, cfg.n_mels, cfg.aux_dims], dim=1)
        )
        aux = cfg.aux_dims
        constant = torch.zeros(6 * rnn + 2 * fc, AUX_SPLITS * aux)
        constant[: len(from_aux1), :aux] = from_aux1
        constant[3 * rnn : 6 * rnn, aux : 2 * aux] = ih2[:, rnn:]
        constant[6 * rnn : 6 * rnn + fc, 2 * aux : 3 * aux] = fc1[:, rnn:]
        constant[6 * rnn + fc :, 3 * aux :] = fc2[:, fc:]
        self._from_aux = constant
        biases = [w["rnn1.bias_ih_l0"], w["rnn2.bias_ih_l0"], w["fc1.bias"], w["fc2.bias"]]
        self._bias = torch.cat(biases)
        self._bias[: len(from_input)] += after_input @ w["I.bias"]
        self._bias = self._bias.float()
        self._weights = _interpolation(network)
        matrices = [
            (w["rnn1.weight_hh_l0"], w["rnn1.bias_hh_l0"]),
            (ih2[:, :rnn], None),
            (w["rnn2.weight_hh_l0"], w["rnn2.bias_hh_l0"]),
            (fc1[:, :rnn], None),
            (fc2[:, :fc], None),
            (w["fc3.weight"], w["fc3.bias"]),
        ]
        parts: Any = zip(*(pack(weight, bias, precision) for weight, bias in matrices), strict=True)
        packed, limits = parts
        hh1, ih2, hh2, fc1, fc2, fc3 = packed
        self.net = kernel.Net(
            hh1, ih2, hh2, fc1, fc2, fc3, from_sample.flatten().contiguous().numpy(),
            float(min(limits)), cfg.n_classes, cfg.mode == "RAW",
        )  # fmt: skip
        self._precision = precision

    def state(self, starts: npt.NDArray[np.int64]) -> kernel.State:
        """Folds that begin at samples `starts` (B,), at rest."""
        folds, rnn = len(starts), self.cfg.rnn_dims
        widest = max(rnn, self.cfg.fc_dims)

        def room(rows: int) -> FloatArray:
            return np.zeros((folds, rows), dtype=np.float32)

        def codes(columns: int) -> products.Codes:
            return room_for_codes(folds, columns, self._precision)

        net, state = self.net, room(rnn)
        gates = len(net.hh1.bias)
        made = kernel.State(
            place=starts.astype(np.int64), x=np.zeros(folds, np.float32), hidden1=state, hidden2=state.copy(),
            codes1=codes(rnn), codes2=codes(rnn), recurrent1=room(gates), recurrent2=room(gates), gates2=room(gates),
            codes=codes(widest), given=np.zeros(4 * widest, np.float32),
            layer=room(max(len(net.fc1.bias), len(net.fc2.bias))), outputs=room(len(net.fc3.bias)),
            turns=np.zeros(64, np.int64),
        )  # fmt: skip
        products.product(net.hh1, made.codes1, made.recurrent1)
        products.product(net.hh2, made.codes2, made.recurrent2)
        return made

    def frames(self, mel: Tensor, aux: Tensor, first: int, stop: int) -> kernel.Frames:
        """Frames [first, stop) of mel (n_mels, T + 2 * context) and aux (T, res_out_dims); beyond T the last ones."""
        smooth = mel[:, torch.arange(first, stop + len(self._weights[0]) - 1).clamp(max=mel.shape[1] - 1)]
        constant = aux[torch.arange(first, stop).clamp(max=len(aux) - 1)]
        return kernel.Frames(
            first,
            torch.addmm(self._bias, constant, self._from_aux.t()).numpy(),
            (smooth.t() @ self._from_mel.t()).numpy(),
            self._weights,
        )


class CompiledLoop(SharedFolds[kernel.State, kernel.Frames]):
    """A WaveRNN unrolled in time by the kernel, with its state for a batch of B folds."""

    def __init__(self, compiled: CompiledNetwork, network: WaveRNN, mel: Tensor, threads: int) -> None:
        """mel (n_mels, T): what is spoken, divided by the config's mel_scale; beyond its ends is silence."""
        self._compiled = compiled
        self._mel, self._aux = with_context(mel, network.cfg), features(network, mel)
        super().__init__(network.cfg, len(self._aux), threads)

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        super().begin(starts)
        self._alone_blocks = 0

    def run(self, noise: FloatArray) -> FloatArray:
        if len(noise) > 1 or self._threads == 1 or not kernel.TWO_THREADS:
            return super().run(noise)
        if self._alone_blocks:
            self._alone_blocks -= 1
            return super().run(noise)
        together = self._run_together(noise)
        self._alone_blocks = ALONE_BLOCKS if together.shape[1] < noise.shape[1] else 0
        if not self._alone_blocks:
            return together
        rest = super().run(np.ascontiguousarray(noise[:, together.shape[1] :]))
        return np.concatenate([together, rest], axis=1)

    def _run_together(self, noise: FloatArray) -> FloatArray:
        """The first samples of a single fold by two threads: all, or those until one was not given a processor."""
        (share,), samples = self._shares, np.empty(noise.shape[:2], dtype=np.float32)
        share.turns[:] = 0
        frames, net = self._frames(noise.shape[1]), self._compiled.net
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(kernel.follow, net, share, noise.shape[1])
            made = kernel.speak(net, frames, share, noise, samples, NO_OUTPUTS, False)
            following.result()
        return samples[:, :made]

    def _share(self, starts: npt.NDArray[np.int64]) -> kernel.State:
        return self._compiled.state(starts)

    def _project(self, first: int, stop: int) -> kernel.Frames:
        return self._compiled.frames(self._mel, self._aux, first, stop)

    def _speak(
        self, share: kernel.State, frames: kernel.Frames, noise: FloatArray, samples: FloatArray, outputs: FloatArray
    ) -> None:
        kernel.speak(self._compiled.net, frames, share, noise, samples, outputs, True)


@torch.inference_mode()
def _interpolation(network: WaveRNN) -> FloatArray:
    """Share of each of the 2 * context + 1 frames around a sample in its smoothed mel, (hop, taps).

    The up-sampling network is the same for all bands: bands that are zero but for one frame show its weights.
    """
    cfg = network.cfg
    around = context(cfg)
    impulses = torch.eye(2 * around + 1, device=network.I.weight.device)
    first = (around - cfg.pad) * cfg.hop_length
    return network.upsample.samples(impulses[None])[0, first : first + cfg.hop_length].float().cpu().numpy().copy()
