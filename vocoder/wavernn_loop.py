"""A WaveRNN unrolled in time with torch, one Python step a sample: on a GPU, and where the compiled kernel is not.

Knows no plan of folds, no seed and no wav. What does not depend on the samples (up-sampled mels, their share of each
layer's input) is computed for a block of time steps at once, so that the loop over samples does only what it must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vocoder.config import AUX_SPLITS, WaveRNNConfig
from vocoder.distribution import draw
from vocoder.wavernn import WaveRNN
from vocoder.wavernn_graph import STEPS, RecordedSteps

FloatArray = npt.NDArray[np.float32]

# Samples of all folds together whose conditioning is in memory at once: 8,192 x 2,048 floats are 64 MB.
BLOCK_SAMPLES = 8192
BLOCK_STEPS = 400
SILENCE = -1.0


def context(cfg: WaveRNNConfig) -> int:
    """Frames on each side of the one that is spoken: the smoothing layers reach less than two."""
    return max(cfg.pad, 2)


def with_context(mel: Tensor, cfg: WaveRNNConfig) -> Tensor:
    """mel (n_mels, T) with silence on both sides, (n_mels, T + 2 * context)."""
    return F.pad(mel.float(), (context(cfg), context(cfg)), value=SILENCE)


@torch.inference_mode()
def features(network: WaveRNN, mel: Tensor) -> Tensor:
    """What the residual network makes of mel (n_mels, T) between silence: (T, res_out_dims)."""
    padded = F.pad(mel.float(), (network.cfg.pad, network.cfg.pad), value=SILENCE)
    return network.upsample.frames(padded[None])[0]


@dataclass(frozen=True)
class StepInputs:
    """Conditioning of N time steps of B folds: the sum of each layer's input that does not depend on samples.

    to_input (N, B, rnn), to_gates1 and to_gates2 (N, B, 3 * rnn), to_fc1 and to_fc2 (N, B, fc).
    """

    to_input: Tensor
    to_gates1: Tensor
    to_gates2: Tensor
    to_fc1: Tensor
    to_fc2: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> StepInputs:
        """All of them changed alike."""
        return StepInputs(**{name: change(tensor) for name, tensor in vars(self).items()})

    def rows(self, first: int, count: int) -> StepInputs:
        """Those of ``count`` steps from ``first`` on."""
        return self.map(lambda tensor: tensor[first : first + count])

    def copy_to(self, other: StepInputs) -> None:
        """Into tensors of the same shapes."""
        for name, tensor in vars(self).items():
            getattr(other, name).copy_(tensor)


class SampleLoop:
    """A WaveRNN unrolled in time, with its recurrent state for a batch of B folds."""

    def __init__(self, network: WaveRNN, mel: Tensor) -> None:
        """mel (n_mels, T): what is spoken, divided by the config's mel_scale; beyond its ends is silence."""
        self.cfg = cfg = network.cfg
        mel = mel.to(network.I.weight.device)
        self._network = network
        self._context = context(cfg)
        self._mel, self._aux = with_context(mel, cfg), features(network, mel)
        self._weights = _Weights(network)
        self.begin(np.zeros(1, dtype=np.int64))

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        """Folds that begin at samples `starts` (B,), at rest."""
        self._place = torch.as_tensor(starts, device=self._mel.device)
        rest = self._mel.new_zeros(len(starts), self.cfg.rnn_dims)
        self.state = (self._mel.new_zeros(len(starts)), rest, rest)
        self._recorded: RecordedSteps | None = None

    def run(self, noise: FloatArray) -> FloatArray:
        """The next samples (B, N) of the folds, drawn by noise (B, N, noise_per_sample) in [0, 1)."""
        folds, steps, _ = noise.shape
        block = max(1, min(BLOCK_STEPS, BLOCK_SAMPLES // folds))
        made = np.empty((folds, steps), dtype=np.float32)
        for begin in range(0, steps, block):
            given = torch.from_numpy(noise[:, begin : begin + block]).permute(1, 2, 0).to(self._mel.device)
            with torch.inference_mode():
                inputs = self.conditioning(self._place, len(given))
                if self._recorded is None and given.is_cuda and len(given) >= STEPS:
                    self._recorded = RecordedSteps(self, inputs, given)
                outputs = (self._recorded.run if self._recorded else self.speak)(inputs, given)
            made[:, begin : begin + block] = outputs.t().cpu().numpy()
            self._place = self._place + len(given)
        return made

    def speak(self, inputs: StepInputs, noise: Tensor) -> Tensor:
        """Samples (N, B) of N steps, one after the other, with noise (N, noise_per_sample, B)."""
        outputs = torch.empty_like(noise[:, 0])
        for t, drawn in enumerate(noise):
            outputs[t] = draw(self.step(inputs, t), drawn, self.cfg)
            self.state = (outputs[t], *self.state[1:])
        return outputs

    def conditioning(self, starts: Tensor, n_steps: int) -> StepInputs:
        """For n_steps samples from samples `starts` (B,) on; beyond the mel is silence."""
        hop, around, frames = self.cfg.hop_length, self._context, self._aux.shape[0]
        w = self._weights
        first, offset = starts // hop, starts % hop
        n_frames = (n_steps + hop - 2) // hop + 1
        window = first[:, None] + torch.arange(n_frames + 2 * around, device=starts.device)
        mels = self._mel[:, window.clamp(max=self._mel.shape[1] - 1)].transpose(0, 1)
        skip = (around - self.cfg.pad) * hop
        smooth = self._network.upsample.samples(mels)[:, skip : skip + n_frames * hop]
        # time first: the loop then reads one contiguous row a step
        steps = offset + torch.arange(n_steps, device=starts.device)[:, None]
        folds = torch.arange(len(starts), device=starts.device)
        frame_of = steps // hop
        aux = self._aux[(first + frame_of).clamp(max=frames - 1)]
        aux1, aux2, aux3, aux4 = aux.chunk(AUX_SPLITS, dim=-1)
        to_input = F.linear(torch.cat([smooth[folds, steps], aux1], dim=-1), w.input_other, w.input_bias)
        return StepInputs(
            to_input,
            F.linear(to_input, w.ih1, w.ih1_bias),
            F.linear(aux2, w.ih2_aux, w.ih2_bias),
            F.linear(aux3, w.fc1_aux, w.fc1_bias),
            F.linear(aux4, w.fc2_aux, w.fc2_bias),
        )

    def step(self, inputs: StepInputs, t: int) -> Tensor:
        """Step t of a block, after the samples in ``state`` -> outputs of the network (B, n_classes)."""
        w, dims = self._weights, self.cfg.rnn_dims
        sample, state1, state2 = self.state
        x = sample.unsqueeze(-1)
        hidden = torch.addcmul(inputs.to_input[t], x, w.input_sample)
        gates = torch.addcmul(inputs.to_gates1[t], x, w.ih1_sample)
        state1 = _gru(gates, torch.addmm(w.hh1_bias, state1, w.hh1), state1, dims)
        hidden = hidden + state1
        gates = torch.addmm(inputs.to_gates2[t], hidden, w.ih2)
        state2 = _gru(gates, torch.addmm(w.hh2_bias, state2, w.hh2), state2, dims)
        hidden = hidden + state2
        self.state = (sample, state1, state2)
        hidden = torch.addmm(inputs.to_fc1[t], hidden, w.fc1).relu_()
        hidden = torch.addmm(inputs.to_fc2[t], hidden, w.fc2).relu_()
        return torch.addmm(w.fc3_bias, hidden, w.fc3)


def _gru(inputs: Tensor, recurrent: Tensor, state: Tensor, dims: int) -> Tensor:
    """One step of PyTorch's GRU from the two halves of its gates (B, 3 * dims), order r, z, n."""
    reset_update = torch.sigmoid(inputs[:, : 2 * dims] + recurrent[:, : 2 * dims])
    new = torch.addcmul(inputs[:, 2 * dims :], reset_update[:, :dims], recurrent[:, 2 * dims :]).tanh_()
    return torch.lerp(new, state, reset_update[:, dims:])


class _Weights:
    """The weights as the loop wants them: split by what they multiply, matrices transposed for addmm."""

    def __init__(self, network: WaveRNN) -> None:
        cfg = network.cfg
        rnn, fc = cfg.rnn_dims, cfg.fc_dims
        self.input_sample = network.I.weight[:, 0].contiguous()
        self.input_other, self.input_bias = network.I.weight[:, 1:].contiguous(), network.I.bias
        self.ih1, hh1, self.ih1_bias, self.hh1_bias = network.rnn1.all_weights[0]
        ih2, hh2, self.ih2_bias, self.hh2_bias = network.rnn2.all_weights[0]
        # The first GRU reads I's output, which is linear in the sample: its share is one vector.
        self.ih1_sample = self.ih1 @ self.input_sample
        self.ih2, self.ih2_aux = ih2[:, :rnn].t().contiguous(), ih2[:, rnn:].contiguous()
        self.hh1, self.hh2 = hh1.t().contiguous(), hh2.t().contiguous()
        self.fc1, self.fc1_bias = network.fc1.weight[:, :rnn].t().contiguous(), network.fc1.bias
        self.fc1_aux = network.fc1.weight[:, rnn:].contiguous()
        self.fc2, self.fc2_bias = network.fc2.weight[:, :fc].t().contiguous(), network.fc2.bias
        self.fc2_aux = network.fc2.weight[:, fc:].contiguous()
        self.fc3, self.fc3_bias = network.fc3.weight.t().contiguous(), network.fc3.bias
