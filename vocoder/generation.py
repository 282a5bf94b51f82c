"""Sample-by-sample generation with a WaveRNN; knows no files, no sound formats and no progress bars.

What does not depend on the samples (up-sampled mels, their share of each layer's input) is computed for a block of
time steps at once, so that the loop over samples does only what it must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vocoder.config import AUX_SPLITS
from vocoder.distribution import draw, noise_per_sample
from vocoder.folding import FoldPlan, unfold
from vocoder.wavernn import WaveRNN

Progress = Callable[[int, int], None]

# Folds that are generated side by side; more gain little on a CPU, and their conditioning takes memory.
MAX_BATCH = 64
# Samples of all folds together whose conditioning is in memory at once: 8,192 x 2,048 floats are 64 MB.
BLOCK_SAMPLES = 8192
# Steps of a block at most: between blocks the progress is reported, and a cancel is heard.
BLOCK_STEPS = 400
# The three smoothing layers of the up-sampling network reach less than two frames to each side.
_CONTEXT = 2
SILENCE = -1.0


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


class SampleLoop:
    """A WaveRNN unrolled in time, with its recurrent state for a batch of B folds."""

    def __init__(self, network: WaveRNN, mel: Tensor) -> None:
        """mel (n_mels, T): what is spoken, divided by the config's mel_scale; beyond its ends is silence."""
        self.cfg = cfg = network.cfg
        self._network = network
        self._context = max(cfg.pad, _CONTEXT)
        self._mel = F.pad(mel.float(), (self._context, self._context), value=SILENCE)
        aux_mel = F.pad(mel.float(), (cfg.pad, cfg.pad), value=SILENCE)
        self._aux = network.upsample.frames(aux_mel[None])[0]
        self._weights = _Weights(network)
        self.reset(1)

    def reset(self, batch: int) -> None:
        """Zero the states, for `batch` folds."""
        zeros = self._mel.new_zeros(batch, self.cfg.rnn_dims)
        self._state1, self._state2 = zeros, zeros

    def conditioning(self, starts: Tensor, n_steps: int) -> StepInputs:
        """For n_steps samples from samples `starts` (B,) on; beyond the mel is silence."""
        hop, context, frames = self.cfg.hop_length, self._context, self._aux.shape[0]
        w = self._weights
        first, offset = starts // hop, starts % hop
        n_frames = (n_steps + hop - 2) // hop + 1
        window = first[:, None] + torch.arange(n_frames + 2 * context, device=starts.device)
        mels = self._mel[:, window.clamp(max=self._mel.shape[1] - 1)].transpose(0, 1)
        skip = (context - self.cfg.pad) * hop
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

    def step(self, x: Tensor, inputs: StepInputs, t: int) -> Tensor:
        """The samples before, x (B,), and step t of a block -> outputs of the network (B, n_classes)."""
        w, dims = self._weights, self.cfg.rnn_dims
        x = x.unsqueeze(-1)
        hidden = torch.addcmul(inputs.to_input[t], x, w.input_sample)
        gates = torch.addcmul(inputs.to_gates1[t], x, w.ih1_sample)
        self._state1 = _gru(gates, torch.addmm(w.hh1_bias, self._state1, w.hh1), self._state1, dims)
        hidden = hidden + self._state1
        gates = torch.addmm(inputs.to_gates2[t], hidden, w.ih2)
        self._state2 = _gru(gates, torch.addmm(w.hh2_bias, self._state2, w.hh2), self._state2, dims)
        hidden = hidden + self._state2
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


@torch.inference_mode()
def generate(
    network: WaveRNN,
    mel: Tensor,
    plan: FoldPlan,
    *,
    seed: int,
    gapless: bool = True,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Network signal (plan.length,) in [-1, 1] spoken from mel (n_mels, T), which is divided by mel_scale.

    The network must be in eval mode. The same seed gives the same samples. progress(done, total) counts the samples of
    all folds, every BLOCK_STEPS steps or oftener; Cancelled raised from it ends the generation.
    """
    device = network.I.weight.device
    loop = SampleLoop(network, mel.to(device))
    generator = torch.Generator().manual_seed(seed)
    groups = torch.as_tensor(plan.starts).split(MAX_BATCH)
    total = plan.count * plan.width
    folds = np.zeros((plan.count, plan.width), dtype=np.float32)
    first = 0
    for starts in groups:
        made = first * plan.width

        def report(steps: int, made: int = made, batch: int = len(starts)) -> None:
            if progress is not None:
                progress(made + steps * batch, total)

        folds[first : first + len(starts)] = _generate_folds(loop, starts, plan.width, generator, report)
        first += len(starts)
    return unfold(folds, plan.overlap, gapless=gapless)[: plan.length]


def _generate_folds(
    loop: SampleLoop, starts: Tensor, width: int, generator: torch.Generator, report: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Folds (B, width) that begin at samples `starts` (B,)."""
    batch, cfg = len(starts), loop.cfg
    device = loop._mel.device
    block = max(1, min(BLOCK_STEPS, BLOCK_SAMPLES // batch))
    made = torch.empty(width, batch)
    x = torch.zeros(batch, device=device)
    loop.reset(batch)
    for begin in range(0, width, block):
        n_steps = min(block, width - begin)
        inputs = loop.conditioning((starts + begin).to(device), n_steps)
        # Drawn ahead and on the CPU: the same seed gives the same noise on every device.
        noise = torch.rand(n_steps, noise_per_sample(cfg), batch, generator=generator).to(device)
        outputs = torch.empty(n_steps, batch, device=device)
        for t in range(n_steps):
            x = draw(loop.step(x, inputs, t), noise[t], cfg)
            outputs[t] = x
        made[begin : begin + n_steps] = outputs.cpu()
        report(begin + n_steps)
    return made.t().numpy()
