"""Speed of the vocoders beside the plain way to do it, in times real time; knows no quality.

"Plain" is the original program's loop over samples for a WaveRNN, and for a WaveNet the convolution over its whole
receptive field for every sample. Those rows time networks: the shipped ones, called by their names in models/, and with
random weights those of the size that is the default of a new training. "Mel to wav" is all that a user waits for.

``python -m benchmarks.vocoder [--threads N] [--only TEXT]``. The ways are timed in turn, each for a second or two of
steps after a warm-up, in several rounds of which the best counts: a step costs the same wherever it stands, so that the
rest of the sound need not be made. Load comes first and last in the output.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.machine import describe, load
from models.environment import prepare_environment

prepare_environment()  # before torch is imported

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from audio.mel import SYNTHESIZER_MEL  # noqa: E402
from models.device import configure_threads  # noqa: E402
from models.registry import ModelRegistry  # noqa: E402
from vocoder.config import PRECISIONS  # noqa: E402
from vocoder.folding import FoldPlan, fixed_plan  # noqa: E402
from vocoder.generation import FoldNoise, Speaker  # noqa: E402
from vocoder.griffin_lim import GriffinLimVocoder  # noqa: E402
from vocoder.inference import (  # noqa: E402
    DEFAULT_PRECISION,
    OVERLAP_SAMPLES,
    TARGET_SAMPLES,
    SampleVocoder,
    Vocoder,
    WaveNetVocoder,
    WaveRNNVocoder,
    load_vocoder,
)
from vocoder.wavenet import WaveNet  # noqa: E402
from vocoder.wavernn import WaveRNN  # noqa: E402

SECONDS = 1.5
ROUNDS = 2
WHOLE = "mel to wav"


@dataclass(frozen=True)
class Row:
    """One sound made in several ways: name -> function that works for about SECONDS and returns x real time."""

    name: str
    ways: dict[str, Callable[[], float]]


class PlainLoop:
    """The loop of the original program: one Python step a sample, GRU cells and linear layers of torch in float32."""

    def __init__(self, network: WaveRNN) -> None:
        self._network = network
        self._cells = [self._cell(network.rnn1), self._cell(network.rnn2)]

    @staticmethod
    def _cell(gru: nn.GRU) -> nn.GRUCell:
        cell = nn.GRUCell(gru.input_size, gru.hidden_size)
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in gru.state_dict().items()})
        return cell

    @torch.inference_mode()
    def steps_per_second(self, folds: int) -> float:
        """Steps of a batch of folds; the up-sampled mels are there already, as in the original."""
        net, cfg = self._network, self._network.cfg
        mel, aux = torch.rand(folds, cfg.n_mels), torch.rand(4, folds, cfg.aux_dims)
        x, state1 = torch.zeros(folds, 1), torch.zeros(folds, cfg.rnn_dims)
        state2, steps, started = state1, -3, 0.0
        while steps < 3 or time.perf_counter() - started < SECONDS:
            if steps == 0:
                started = time.perf_counter()
            hidden = net.I(torch.cat([x, mel, aux[0]], dim=1))
            state1 = self._cells[0](hidden, state1)
            hidden = hidden + state1
            state2 = self._cells[1](torch.cat([hidden, aux[1]], dim=1), state2)
            hidden = hidden + state2
            hidden = F.relu(net.fc1(torch.cat([hidden, aux[2]], dim=1)))
            hidden = F.relu(net.fc2(torch.cat([hidden, aux[3]], dim=1)))
            drawn = torch.distributions.Categorical(F.softmax(net.fc3(hidden), dim=1)).sample()
            x = (2 * drawn.float() / (cfg.n_classes - 1.0) - 1.0).unsqueeze(-1)
            steps += 1
        return steps / (time.perf_counter() - started)


class UncachedWaveNet:
    """The full convolution over the receptive field for every sample."""

    def __init__(self, network: WaveNet) -> None:
        self._network = network

    @torch.inference_mode()
    def steps_per_second(self, folds: int) -> float:
        """Steps of a batch of folds."""
        cfg = self._network.cfg
        frames = -(-self._network.receptive_field // cfg.hop_length)
        mels, x = torch.rand(folds, cfg.n_mels, frames + 2 * cfg.pad), torch.rand(folds, 1, frames * cfg.hop_length)
        steps, started = -1, 0.0
        while steps < 1 or time.perf_counter() - started < SECONDS:
            if steps == 0:
                started = time.perf_counter()
            drawn = torch.distributions.Categorical(logits=self._network(x, mels)[:, :, -1]).sample()
            x = torch.cat([x[:, :, 1:], (2 * drawn.float() / (cfg.n_classes - 1.0) - 1.0).view(-1, 1, 1)], dim=2)
            steps += 1
        return steps / (time.perf_counter() - started)


def compiled_steps_per_second(speaker: Speaker, plan: FoldPlan) -> float:
    """Steps of the vocoder's own loop over the folds of a plan; projecting the mel is part of it."""
    cfg = speaker.network.cfg
    loop = speaker.loop(torch.rand(cfg.n_mels, plan.length // cfg.hop_length + 1) * 2 - 1)
    loop.begin(plan.starts)
    noise = FoldNoise(0, np.arange(plan.count), cfg)
    loop.run(noise.draw(4))
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        loop.run(noise.draw(64))
        steps += 64
    return steps / (time.perf_counter() - started)


def sample_rows(name: str, vocoder: SampleVocoder, lengths: Sequence[tuple[int, bool]]) -> list[Row]:
    """A row for each (seconds, folded or not)."""
    network = vocoder.network.eval()
    plain = PlainLoop(network) if isinstance(network, WaveRNN) else UncachedWaveNet(network)
    speakers = {precision: Speaker(network, precision) for precision in PRECISIONS}

    def row(seconds: int, batched: bool) -> Row:
        length = seconds * vocoder.sample_rate
        old = fixed_plan(length, TARGET_SAMPLES, OVERLAP_SAMPLES) if batched else FoldPlan(length, 1, length, 0)
        new = vocoder.plan(length // vocoder.cfg.hop_length + 1) if batched else old
        ways: dict[str, Callable[[], float]] = {
            "plain": lambda: plain.steps_per_second(old.count) * seconds / old.width
        }
        for precision, speaker in speakers.items():
            ways[precision] = lambda s=speaker: compiled_steps_per_second(s, new) * seconds / new.width  # type: ignore[misc]
        return Row(f"{name}, {f'folded {seconds} s' if batched else 'unfolded'}", ways)

    return [row(*length) for length in lengths]


def whole_rows(vocoder: Vocoder, seconds: int) -> list[Row]:
    """All of a vocoder, from the mel to the wav: at once, where it folds, and streamed."""
    cfg = SYNTHESIZER_MEL
    mel = np.random.default_rng(0).uniform(-4, 4, (cfg.n_mels, seconds * cfg.sample_rate // cfg.hop_length + 1))

    def speed(speak: Callable[..., object]) -> float:
        started = time.perf_counter()
        speak(mel.astype(np.float32), seed=0)
        return seconds / (time.perf_counter() - started)

    ways: dict[str, Callable[..., object]] = {vocoder.name: vocoder.vocode}
    if isinstance(vocoder, SampleVocoder):
        ways[f"{vocoder.name}, streamed"] = lambda mel, seed: list(vocoder.stream(mel, seed=seed))
    return [Row(f"{name}, {seconds} s", {WHOLE: partial(speed, speak)}) for name, speak in ways.items()]


def rows() -> list[Row]:
    """Everything that is timed."""
    torch.manual_seed(0)
    lengths = [(5, True), (20, True), (5, False)]
    wavernn, wavenet, default = (load_vocoder(ModelRegistry(), name) for name in ("wavernn", "wavenet", "default"))
    assert isinstance(wavernn, SampleVocoder) and isinstance(wavenet, SampleVocoder)
    return [
        *sample_rows("WaveRNN 512", WaveRNNVocoder(WaveRNN()), lengths),
        *sample_rows("wavernn", wavernn, lengths),
        *sample_rows("WaveNet 64", WaveNetVocoder(WaveNet()), [(5, True), (5, False)]),
        *sample_rows("wavenet", wavenet, [(5, True), (5, False)]),
        *(row for vocoder in (wavernn, wavenet, default, GriffinLimVocoder()) for row in whole_rows(vocoder, 5)),
    ]


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vocoder", description=__doc__)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    ways = ["plain", *PRECISIONS, WHOLE]
    parser.add_argument("--ways", nargs="+", default=ways, help="of those named in the table's head")
    args = parser.parse_args()
    threads = configure_threads(args.threads)
    print(f"{describe(threads)}; {DEFAULT_PRECISION} is the default")
    print(f"{'x real time at 16 kHz (ratio to plain)':38s}" + "".join(f"{way:>16s}" for way in args.ways))
    for row in rows():
        if args.only not in row.name:
            continue
        best = {way: 0.0 for way in args.ways if way in row.ways}
        for _ in range(ROUNDS):
            for way in best:
                best[way] = max(best[way], row.ways[way]())
        plain = best.get("plain", 0.0)
        cells = {way: f"{value:.2f} ({value / plain:.1f})" if plain else f"{value:.2f}" for way, value in best.items()}
        print(f"{row.name:38s}" + "".join(f"{cells.get(way, '-'):>16s}" for way in args.ways), flush=True)
    print(f"load at the end {load()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
