"""Runs a Tacotron without a teacher: several lines at once, each with its own randomness, end and limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthesizer.network import AttentionState, AttentionStep, Decoder, Memory, Tacotron

MIN_FRAMES = 10
"""A stop token within the first frames is not believed."""


@dataclass
class GeneratedLine:
    """What the network made of one line."""

    mel: np.ndarray
    """(n_mels, T) after the post-net, not trimmed."""
    mel_decoder: np.ndarray
    """(n_mels, T) before the post-net."""
    attention: np.ndarray
    """(T / r, L)"""
    stopped: bool
    """False when the limit ended the line, not the stop token."""


@dataclass
class _Rows:
    """The state of the lines that still run; ``lines`` are their places in the batch."""

    lines: list[int]
    memory: Memory
    attention: AttentionState
    lstms: list[tuple[Tensor, Tensor]]
    frame: Tensor
    """(B, n_mels), the last one made."""

    def select(self, keep: Sequence[int]) -> _Rows:
        rows = torch.tensor(keep, dtype=torch.long, device=self.frame.device)
        return _Rows(
            [self.lines[k] for k in keep],
            self.memory.select(rows),
            self.attention.select(rows),
            [(hidden[rows], cell[rows]) for hidden, cell in self.lstms],
            self.frame[rows],
        )


class _Dropout:
    """Pre-net masks of the lines, each from its own generator, so that a line does not depend on its batch.

    Values are 0 and 1 / (1 - p); drawn for a block of steps at a time.
    """

    BLOCK = 64

    def __init__(self, seeds: Sequence[int], p: float, device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._p = p
        self._device = device
        self._blocks: list[Tensor] = []

    def draw(self, line: int, *shape: int) -> Tensor:
        if self._p == 0.0:
            return torch.ones(shape)
        kept = torch.rand(shape, generator=self._generators[line]) >= self._p
        return kept.float() / (1.0 - self._p)

    def encoder(self, lengths: Sequence[int], dims: int) -> tuple[Tensor, Tensor]:
        """Two masks (B, L, dims), zero beyond the lengths."""
        masks = torch.zeros(2, len(lengths), max(lengths), dims)
        for line, length in enumerate(lengths):
            masks[:, line, :length] = self.draw(line, 2, length, dims)
        first, second = masks.to(self._device)
        return first, second

    def decoder(self, step: int, lines: Sequence[int], dims: int) -> tuple[Tensor, Tensor]:
        """Two masks (len(lines), dims) of a step; steps must come in order."""
        if step % self.BLOCK == 0:
            drawn = {line: self.draw(line, self.BLOCK, 2, dims) for line in lines}
            blank = torch.zeros(self.BLOCK, 2, dims)
            self._blocks = [drawn.get(line, blank) for line in range(len(self._generators))]
        masks = torch.stack([self._blocks[line][step % self.BLOCK] for line in lines], dim=1).to(self._device)
        return masks[0], masks[1]


@torch.inference_mode()
def generate(
    network: Tacotron,
    ids: Sequence[Sequence[int]],
    embeds: Tensor,
    *,
    seeds: Sequence[int],
    max_frames: Sequence[int],
    dropout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[GeneratedLine]:
    """Make the mel of every line of ids; embeds (B, 256).

    A line ends by its stop token or at its limit of ``max_frames``. ``dropout`` replaces that of the pre-nets (0 for
    comparisons with reference values). ``progress(done, total)`` counts frames of the longest line; raising in it
    stops the work.
    """
    r = network.r
    lengths = [len(line) for line in ids]
    p = network.cfg.dropout if dropout is None else dropout
    random = _Dropout(seeds, p, next(network.parameters()).device)
    rows = _start(network, ids, embeds, random)
    attend = AttentionStep(network.decoder, rows.memory)
    frames: list[list[Tensor]] = [[] for _ in ids]
    attention: list[list[Tensor]] = [[] for _ in ids]
    stopped = [False] * len(ids)
    step = 0
    while rows.lines:
        if progress is not None:
            progress(step * r, max(max_frames))
        masks = random.decoder(step, rows.lines, 2 * network.cfg.decoder_dims)
        made, stop = _advance(network.decoder, rows, attend, masks, first=step == 0)
        step += 1
        running = []
        for row, line in enumerate(rows.lines):
            frames[line].append(made[row])
            attention[line].append(rows.attention.attention[row, : lengths[line]])
            stopped[line] = stop[row] > 0.5 and (step - 1) * r > MIN_FRAMES
            if not stopped[line] and step * r < max_frames[line]:
                running.append(row)
        if len(running) < len(rows.lines):
            rows = rows.select(running)
            attend = AttentionStep(network.decoder, rows.memory)
    if progress is not None:
        progress(max(max_frames), max(max_frames))
    return _refine(network, [torch.cat(line, dim=1) for line in frames], attention, stopped)


def _start(network: Tacotron, ids: Sequence[Sequence[int]], embeds: Tensor, random: _Dropout) -> _Rows:
    """The encoded lines and a decoder state of zeros."""
    cfg, device = network.cfg, next(network.parameters()).device
    lengths = [len(line) for line in ids]
    padded = torch.zeros(len(ids), max(lengths), dtype=torch.long)
    for row, line in enumerate(ids):
        padded[row, : len(line)] = torch.tensor(line)
    masks = random.encoder(lengths, cfg.encoder_dims)
    memory = network.encode(padded.to(device), torch.tensor(lengths, device=device), embeds.to(device), masks)
    zeros = torch.zeros(len(ids), cfg.lstm_dims, device=device)
    return _Rows(
        list(range(len(ids))),
        memory,
        AttentionState.start(memory, cfg.decoder_dims),
        [(zeros, zeros), (zeros, zeros)],
        torch.zeros(len(ids), cfg.n_mels, device=device),
    )


def _advance(
    decoder: Decoder, rows: _Rows, attend: AttentionStep, masks: tuple[Tensor, Tensor], first: bool
) -> tuple[Tensor, list[float]]:
    """One decoder step of all rows, in place: new frames (B, n_mels, r) and the probability that each row ends."""
    prenet = decoder.prenet(rows.frame, masks)
    gates = attend.prenet_gates(prenet.unsqueeze(1), first).squeeze(1)
    rows.attention = attend(gates, rows.attention)
    context = torch.cat([rows.attention.context, rows.memory.embeds], dim=1)
    x = decoder.rnn_input(torch.cat([context, rows.attention.hidden], dim=1))
    for number, cell in enumerate((decoder.res_rnn1, decoder.res_rnn2)):
        rows.lstms[number] = cell(x, rows.lstms[number])
        x = x + rows.lstms[number][0]
    made = decoder.frames(x.unsqueeze(1), int(decoder.r))
    rows.frame = made[:, :, -1]
    stop = torch.sigmoid(decoder.stop_proj(torch.cat([x, context], dim=1))).squeeze(1)
    return made, stop.tolist()


def _refine(
    network: Tacotron, mels: list[Tensor], attention: list[list[Tensor]], stopped: list[bool]
) -> list[GeneratedLine]:
    lengths = torch.tensor([mel.shape[1] for mel in mels], device=mels[0].device)
    batch = torch.nn.utils.rnn.pad_sequence([mel.t() for mel in mels], batch_first=True).transpose(1, 2)
    refined = network.refine(batch, lengths)
    return [
        GeneratedLine(
            refined[row, :, : mel.shape[1]].float().cpu().numpy(),
            mel.float().cpu().numpy(),
            torch.stack(attention[row]).float().cpu().numpy(),
            stopped[row],
        )
        for row, mel in enumerate(mels)
    ]
