"""Generation of a network signal sample by sample, at once or piece by piece; knows no files, sound formats or joints.

On a CPU the steps are compiled (`vocoder.wavernn_compiled`, `vocoder.wavenet_compiled`); on a GPU, and where numba
cannot compile, torch makes them one by one (`vocoder.wavernn_loop`, `vocoder.wavenet_loop`). Each fold draws its own
noise, so that neither the folds beside it, nor the threads, nor the length of the blocks in which it is made change its
samples.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vocoder.config import PRECISIONS, SampleForm
from vocoder.distribution import noise_per_sample
from vocoder.folding import FoldPlan, unfold
from vocoder.wavenet import WaveNet
from vocoder.wavenet_loop import WaveNetLoop
from vocoder.wavernn import WaveRNN
from vocoder.wavernn_loop import FloatArray, SampleLoop

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
SampleNetwork = WaveRNN | WaveNet

# Folds that are generated side by side; more gain nothing on a CPU, and their conditioning takes memory.
MAX_BATCH = 64
# Between blocks the progress is reported, and a cancel is heard.
BLOCK_SECONDS = 0.025
FIRST_STEPS = 16


class Loop(Protocol):
    """A network unrolled in time for a batch of B folds of one mel."""

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        """Folds that begin at samples `starts` (B,), at rest."""

    def run(self, noise: FloatArray) -> FloatArray:
        """The next samples (B, N) of the folds, drawn by noise (B, N, noise_per_sample) in [0, 1)."""


class Speaker:
    """A network that speaks sample by sample, ready for it: its weights as they are now, as it suits the machine.

    Args:
        network: in eval mode or not, on the device it is on.
        precision: one of `PRECISIONS`, of the compiled steps; torch's are float32.
    """

    def __init__(self, network: SampleNetwork, precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r} is unknown; use one of {', '.join(PRECISIONS)}")
        self.network = network
        self.precision = precision
        self._compiled_loop: Callable[[Tensor, int], Loop] | None = None
        if next(network.parameters()).device.type == "cpu":
            try:
                self._compiled_loop = _compile(network, precision)
            except Exception:  # numba and LLVM fail in many ways where they do not fit the system.
                logger.warning("The fast vocoder cannot be compiled here; a slower one is used.", exc_info=True)

    def loop(self, mel: Tensor) -> Loop:
        """mel (n_mels, T), divided by mel_scale."""
        was_training = self.network.training
        self.network.eval()
        try:
            if self._compiled_loop is not None:
                return self._compiled_loop(mel, torch.get_num_threads())
            if isinstance(self.network, WaveRNN):
                return SampleLoop(self.network, mel)
            return WaveNetLoop(self.network, mel)
        finally:
            self.network.train(was_training)


def _compile(network: SampleNetwork, precision: str) -> Callable[[Tensor, int], Loop]:
    """Loop over a mel (n_mels, T) by so many threads."""
    if isinstance(network, WaveRNN):
        from vocoder.wavernn_compiled import CompiledLoop, CompiledNetwork

        wavernn, compiled = network, CompiledNetwork(network, precision)
        return lambda mel, threads: CompiledLoop(compiled, wavernn, mel, threads)
    from vocoder.wavenet_compiled import CompiledWaveNet, CompiledWaveNetLoop

    wavenet, compiled_wavenet = network, CompiledWaveNet(network, precision)
    return lambda mel, threads: CompiledWaveNetLoop(compiled_wavenet, wavenet, mel, threads)


def generate(
    speaker: Speaker,
    mel: Tensor,
    plan: FoldPlan,
    *,
    seed: int,
    gapless: bool = True,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Network signal (plan.length,) in [-1, 1] spoken from mel (n_mels, T), which is divided by mel_scale.

    The same seed gives the same samples. progress(done, total) counts the samples of all folds, some 40 times a
    second; Cancelled raised from it ends the generation.
    """
    loop = speaker.loop(mel)
    total = plan.count * plan.width
    folds = np.zeros((plan.count, plan.width), dtype=np.float32)
    # Groups of equal size: a small last one would leave the threads without work.
    for group in np.array_split(np.arange(plan.count), -(-plan.count // MAX_BATCH)):
        loop.begin(plan.starts[group])
        done = 0
        for block in _blocks(loop, FoldNoise(seed, group, speaker.network.cfg), plan.width):
            folds[group, done : done + block.shape[1]] = block
            done += block.shape[1]
            if progress is not None:
                progress(int(group[0]) * plan.width + done * len(group), total)
    return unfold(folds, plan.overlap, gapless=gapless)[: plan.length]


def generate_pieces(
    speaker: Speaker, mel: Tensor, lengths: Sequence[int], *, seed: int, progress: Progress | None = None
) -> Iterator[FloatArray]:
    """What `generate` returns for a single fold, in pieces of the given lengths, whose sum is the whole."""
    loop, noise = speaker.loop(mel), FoldNoise(seed, np.zeros(1, np.int64), speaker.network.cfg)
    total, done = sum(lengths), 0
    for length in lengths:
        blocks = []
        for block in _blocks(loop, noise, length):
            blocks.append(block[0])
            done += block.shape[1]
            if progress is not None:
                progress(done, total)
        yield np.concatenate(blocks)


class FoldNoise:
    """Uniform noise of each fold, drawn by the seed and the fold's number alone."""

    def __init__(self, seed: int, folds: npt.NDArray[np.int64], cfg: SampleForm) -> None:
        self._generators = [np.random.default_rng((seed, int(fold))) for fold in folds]
        self._per_sample = noise_per_sample(cfg)

    def draw(self, steps: int) -> FloatArray:
        """The next (folds, steps, noise_per_sample) in [0, 1)."""
        shape = (steps, self._per_sample)
        return np.stack([generator.random(shape, dtype=np.float32) for generator in self._generators])


def _blocks(loop: Loop, noise: FoldNoise, steps: int) -> Iterator[FloatArray]:
    """Samples (B, n), (B, n) ... of the next steps; each block takes about BLOCK_SECONDS, whatever the machine does."""
    size = FIRST_STEPS
    while steps:
        size = min(size, steps)
        started = time.perf_counter()
        yield loop.run(noise.draw(size))
        steps -= size
        wanted = BLOCK_SECONDS / max(time.perf_counter() - started, 1e-6)
        size = max(1, int(size * min(wanted, 4.0)))
