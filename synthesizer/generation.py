"""Runs a Tacotron without a teacher: several lines at once, each with its own randomness, end and limit.

Owns the loop over decoder steps and the form in which it wants the weights; the arithmetic is that of
``synthesizer.network``, whose teacher-forced pass cannot be used: a step needs the frame before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synthesizer.network import Memory, Tacotron

MIN_FRAMES = 10
"""A stop token within the first frames is not believed."""
BLOCK = 8
"""Steps between two looks at the stop tokens; what a line says after its own is thrown away."""
KERNEL_LINES = 8
"""With more lines than this BLAS is as fast as the compiled product."""


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


class _Product:
    """out (B, N) += x (B, K) @ weight.t(), for a weight (N, K) kept transposed."""

    def __init__(self, weight: Tensor) -> None:
        self._kernel = None
        if weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.shape[1] % 8 == 0:
            self._kernel = _load_kernel()
        if self._kernel is None:
            self._matrix = weight.detach().t().contiguous()
        else:
            # numpy asks the system for large pages: a step reads the weights of thousands of small ones.
            self._array = np.array(weight.detach().t().numpy(), order="C")
            self._matrix = torch.from_numpy(self._array)

    def compiled(self, lines: int) -> bool:
        """Whether this many lines are multiplied by the compiled product, which uses one core."""
        return self._kernel is not None and lines <= KERNEL_LINES

    def __call__(self, out: Tensor, x: Tensor) -> Tensor:
        if self._kernel is None or not self.compiled(len(x)):
            return out.addmm_(x, self._matrix)
        self._kernel(out.numpy(), x.numpy(), self._array)
        return out


def _load_kernel() -> Callable[..., None] | None:
    """The compiled product; None where numba is missing or has no place to keep what it compiled."""
    try:
        from synthesizer.kernel import accumulate
    except (ImportError, RuntimeError):
        return None
    return accumulate


class DecoderWeights:
    """The decoder's weights as the loop wants them, as they were when this was made: worth keeping for the next text.

    Matrices that read the same input, or one after the other without a function between them, are one.
    """

    @torch.inference_mode()
    def __init__(self, network: Tacotron) -> None:
        decoder, cfg = network.decoder, network.cfg
        self.cfg, self.r = cfg, network.r
        attention, gru, dims = decoder.attn_net, decoder.attn_rnn, cfg.decoder_dims
        self.prenet1, self.prenet1_bias = _Product(decoder.prenet.fc1.weight), decoder.prenet.fc1.bias
        self.prenet2, self.prenet2_bias = _Product(decoder.prenet.fc2.weight), decoder.prenet.fc2.bias
        # The GRU's gates r and z add their two inputs; n keeps them apart. Input: pre-net, context, hidden.
        context, self.gru_speaker, prenet = gru.weight_ih.split(
            [cfg.encoder_dims, cfg.speaker_embedding_size, 2 * dims], dim=1
        )
        inputs, states = torch.cat([prenet, context], dim=1), gru.weight_hh
        zeros_in, zeros_state = inputs.new_zeros(dims, inputs.shape[1]), states.new_zeros(dims, dims)
        self.gru = _Product(
            torch.cat(
                [
                    torch.cat([inputs, zeros_in]),
                    torch.cat([states[: 2 * dims], zeros_state, states[2 * dims :]]),
                ],
                dim=1,
            )
        )
        self.gru_bias = torch.cat(
            [gru.bias_ih[: 2 * dims] + gru.bias_hh[: 2 * dims], gru.bias_ih[2 * dims :], gru.bias_hh[2 * dims :]]
        )
        self.location, location_bias = attention.location_kernel()
        self.query, self.query_bias = _Product(attention.W.weight), attention.W.bias + location_bias
        self.score = attention.v.weight.squeeze(0)
        # The first LSTM reads rnn_input's output, which is linear in context and hidden.
        parts = [cfg.encoder_dims, cfg.speaker_embedding_size, dims]
        context, self.input_speaker, hidden = decoder.rnn_input.weight.split(parts, dim=1)
        to_input = torch.cat([context, hidden], dim=1)
        first, second = decoder.res_rnn1, decoder.res_rnn2
        self.input, self.input_bias = _Product(to_input), decoder.rnn_input.bias
        self.gates1 = _Product(first.weight_ih @ to_input)
        self.gates1_input, self.gates1_bias = first.weight_ih, first.bias_ih + first.bias_hh
        self.gates2, self.gates2_bias = _Product(second.weight_ih), second.bias_ih + second.bias_hh
        self.hidden1, self.hidden2 = _Product(first.weight_hh), _Product(second.weight_hh)
        frames = decoder.mel_proj.weight.view(cfg.n_mels, cfg.max_r, -1)[:, : self.r]
        self.last_frame = _Product(frames[:, -1])
        self.frames = frames.reshape(cfg.n_mels * self.r, -1)
        self.stop_x, self.stop_context, self.stop_speaker = decoder.stop_proj.weight.split(
            [cfg.lstm_dims, cfg.encoder_dims, cfg.speaker_embedding_size], dim=1
        )
        self.stop_bias = decoder.stop_proj.bias


@dataclass
class _Lines:
    """All that the loop keeps of B lines, in which every tensor's first dimension is B."""

    memory: Tensor
    """(B, L, encoder_dims)"""
    keys: Tensor
    """(B, L, decoder_dims)"""
    blocked: Tensor
    """(B, L), 0 at a symbol and -inf at padding."""
    cumulative: Tensor
    """(B, L + kernel - 1), the sum of the attention so far between the zeros that the location kernel sees."""
    input: Tensor
    """(B, 2 decoder_dims + encoder_dims + decoder_dims): pre-net, context and hidden state of the attention."""
    frame: Tensor
    """(B, n_mels), the last one made."""
    cell1: Tensor
    cell2: Tensor
    gates1: Tensor
    """(B, 4 lstm_dims), the first LSTM's gates without what is new in a step; cell1 (B, lstm_dims)."""
    gates2: Tensor
    gru_base: Tensor
    """What the speaker and the biases add, here and in the following, is the same at every step."""
    input_base: Tensor
    gates1_base: Tensor
    stop_base: Tensor

    @classmethod
    def start(cls, w: DecoderWeights, memory: Memory) -> _Lines:
        cfg = w.cfg
        batch, length = memory.blocked.shape
        zeros = memory.hidden.new_zeros
        speaker = F.linear(memory.embeds, w.input_speaker, w.input_bias)
        gates1 = F.linear(speaker, w.gates1_input, w.gates1_bias)
        gru = w.gru_bias.repeat(batch, 1)
        gru[:, : 3 * cfg.decoder_dims] += F.linear(memory.embeds, w.gru_speaker)
        return cls(
            memory=memory.hidden,
            keys=memory.keys,
            blocked=zeros(batch, length).masked_fill_(memory.blocked, -torch.inf),
            cumulative=zeros(batch, length + cfg.attention_kernel - 1),
            input=zeros(batch, 3 * cfg.decoder_dims + cfg.encoder_dims),
            frame=zeros(batch, cfg.n_mels),
            cell1=zeros(batch, cfg.lstm_dims),
            cell2=zeros(batch, cfg.lstm_dims),
            gates1=gates1.clone(),
            gates2=w.gates2_bias.repeat(batch, 1),
            gru_base=gru,
            input_base=speaker,
            gates1_base=gates1,
            stop_base=F.linear(memory.embeds, w.stop_speaker, w.stop_bias),
        )

    def select(self, rows: Tensor) -> _Lines:
        return _Lines(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class _Loop:
    """Decoder steps of some lines, with their state.

    What an LSTM's last output adds to its gates is computed on a second thread meanwhile: half of a step's weights, and
    one core does not use all of the memory's speed.
    """

    def __init__(self, weights: DecoderWeights, lines: _Lines, pool: ThreadPoolExecutor | None) -> None:
        self._weights = weights
        self.lines = lines
        self._pool = pool
        self._ahead: deque[Future[None]] = deque()

    def run(self, masks: Tensor, first: bool, report: Callable[[int], None]) -> tuple[Tensor, Tensor, Tensor]:
        """masks (N, 2, B, 2 decoder_dims) -> of N steps the frames (B, n_mels, N r), the attention (B, N, L) and the
        stop logits (B, N). ``first``: the lines begin here.
        """
        w, cfg = self._weights, self._weights.cfg
        steps, _, batch = masks.shape[:3]
        x = masks.new_empty(steps, batch, cfg.lstm_dims)
        context = masks.new_empty(steps, batch, cfg.encoder_dims)
        attention = masks.new_empty(steps, batch, self.lines.keys.shape[1])
        for step in range(steps):
            report(step)
            self._step(masks[step], first and step == 0, x[step], context[step], attention[step])
        while self._ahead:
            self._ahead.popleft().result()
        frames = F.linear(x, w.frames).view(steps, batch, cfg.n_mels, w.r).permute(1, 2, 0, 3)
        stop = F.linear(x, w.stop_x) + F.linear(context, w.stop_context) + self.lines.stop_base
        return frames.reshape(batch, cfg.n_mels, -1), attention.transpose(0, 1), stop.squeeze(-1).t()

    def _step(self, masks: Tensor, first: bool, x: Tensor, context: Tensor, attention: Tensor) -> None:
        """masks (2, B, 2 decoder_dims); the results go into x (B, lstm_dims), the second LSTM's output with its
        residuals, context (B, encoder_dims) and attention (B, L).
        """
        w, lines, dims = self._weights, self.lines, self._weights.cfg.decoder_dims
        batch, length = attention.shape
        # The pre-net.
        inner = w.prenet1(w.prenet1_bias.repeat(batch, 1), lines.frame).relu_().mul_(masks[0])
        inner = w.prenet2(w.prenet2_bias.repeat(batch, 1), inner).relu_()
        torch.mul(inner, masks[1], out=lines.input[:, : 2 * dims])
        # The attention's GRU. It starts from a context of zeros, the speaker's part included.
        gates = w.gru(w.gru_bias.repeat(batch, 1) if first else lines.gru_base.clone(), lines.input)
        reset_update, hidden = gates[:, : 2 * dims].sigmoid_(), lines.input[:, -dims:]
        new = torch.addcmul(gates[:, 2 * dims : 3 * dims], reset_update[:, :dims], gates[:, 3 * dims :]).tanh_()
        torch.lerp(new, hidden, reset_update[:, dims:], out=hidden)
        # The attention.
        query = w.query(w.query_bias.repeat(batch, 1), hidden)
        kernel = w.location.shape[0]
        energy = lines.cumulative.unfold(1, kernel, 1) @ w.location
        energy.add_(lines.keys).add_(query.unsqueeze(1)).tanh_()
        scores = torch.addmv(lines.blocked.view(-1), energy.view(-1, dims), w.score).view(batch, length)
        torch.softmax(scores, dim=1, out=attention)
        lines.cumulative[:, kernel // 2 : kernel // 2 + length].add_(attention)
        torch.bmm(attention.unsqueeze(1), lines.memory, out=context.unsqueeze(1))
        lines.input[:, 2 * dims : -dims] = context
        # The LSTMs.
        seen = lines.input[:, 2 * dims :]
        w.input(x.copy_(lines.input_base), seen)
        self._wait()
        state = _lstm(w.gates1(lines.gates1, seen), lines.cell1)
        self._compute_ahead(w.hidden1, lines.gates1, lines.gates1_base, state)
        x.add_(state)
        self._wait()
        state = _lstm(w.gates2(lines.gates2, x), lines.cell2)
        self._compute_ahead(w.hidden2, lines.gates2, w.gates2_bias, state)
        x.add_(state)
        w.last_frame(lines.frame.zero_(), x)

    def _compute_ahead(self, product: _Product, out: Tensor, base: Tensor, state: Tensor) -> None:
        def work() -> None:
            with torch.inference_mode():
                product(out.copy_(base), state)

        if self._pool is None or not product.compiled(len(state)):
            work()
        else:
            self._ahead.append(self._pool.submit(work))

    def _wait(self) -> None:
        """Until the older of the two LSTMs' shares is there."""
        if len(self._ahead) == 2:
            self._ahead.popleft().result()


def _lstm(gates: Tensor, cell: Tensor) -> Tensor:
    """An LSTM's equations: gates (B, 4 dims) in PyTorch's order i, f, g, o, cell (B, dims) -> the output (B, dims).

    cell is replaced by the next one, gates are spoilt.
    """
    new = gates.chunk(4, dim=1)[2].tanh()
    take, keep, _, give = gates.sigmoid_().chunk(4, dim=1)
    cell.mul_(keep).addcmul_(take, new)
    return torch.tanh(cell).mul_(give)


class _Dropout:
    """Pre-net masks of the lines, each from its own generator, so that a line does not depend on its batch.

    Values are 0 and 1 / (1 - p); drawn for a block of steps at a time.
    """

    BLOCK = 8 * BLOCK

    def __init__(self, seeds: Sequence[int], p: float, device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._p = p
        self._device = device
        self._blocks: dict[int, Tensor] = {}

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

    def decoder(self, step: int, steps: int, lines: Sequence[int], dims: int) -> Tensor:
        """Masks (steps, 2, len(lines), dims) from ``step`` on; blocks must come in order and divide ``BLOCK``."""
        begin = step % self.BLOCK
        if begin == 0:
            self._blocks = {line: self.draw(line, self.BLOCK, 2, dims) for line in lines}
        drawn = [self._blocks[line][begin : begin + steps] for line in lines]
        return torch.stack(drawn, dim=2).to(self._device)


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
    weights: DecoderWeights | None = None,
) -> list[GeneratedLine]:
    """Make the mel of every line of ids; embeds (B, 256).

    A line ends by its stop token or at its limit of ``max_frames``. ``dropout`` replaces that of the pre-nets (0 for
    comparisons with reference values). ``progress(done, total)`` counts frames of the longest line; raising in it
    stops the work. ``weights`` are the network's, made ready before.
    """
    weights = DecoderWeights(network) if weights is None else weights
    r, longest = network.r, max(max_frames)
    lengths = [len(line) for line in ids]
    p = network.cfg.dropout if dropout is None else dropout
    random = _Dropout(seeds, p, next(network.parameters()).device)
    lines = _Lines.start(weights, _encode(network, ids, embeds, random))
    threads = torch.get_num_threads() if lines.keys.device.type == "cpu" else 1
    frames: list[list[Tensor]] = [[] for _ in ids]
    attention: list[list[Tensor]] = [[] for _ in ids]
    stopped = [False] * len(ids)
    running = list(range(len(ids)))
    step = 0

    def report(done: int) -> None:
        if progress is not None:
            progress(min((step + done) * r, longest), longest)

    with ThreadPoolExecutor(1) as second:
        loop = _Loop(weights, lines, second if threads > 1 else None)
        while running:
            left = -(-max(max_frames[line] for line in running) // r) - step
            masks = random.decoder(step, min(BLOCK, left), running, 2 * network.cfg.decoder_dims)
            made, attended, stop = loop.run(masks, step == 0, report)
            rows = []
            for row, (line, ends) in enumerate(zip(running, (stop > 0).tolist(), strict=True)):
                last = -(-max_frames[line] // r) - step
                steps, stopped[line] = _until_stop(ends[:last], max(0, MIN_FRAMES // r + 1 - step))
                frames[line].append(made[row, :, : steps * r])
                attention[line].append(attended[row, :steps, : lengths[line]])
                if not stopped[line] and last > len(ends):
                    rows.append(row)
            step += BLOCK
            if len(rows) < len(running):
                running = [running[row] for row in rows]
                loop.lines = loop.lines.select(torch.tensor(rows, dtype=torch.long, device=made.device))
    report(longest)
    return _refine(network, [torch.cat(line, dim=1) for line in frames], attention, stopped)


def _until_stop(ends: Sequence[bool], believed: int) -> tuple[int, bool]:
    """Steps of a line up to the first stop token from step ``believed`` on, and whether there was one."""
    for step in range(believed, len(ends)):
        if ends[step]:
            return step + 1, True
    return len(ends), False


def _encode(network: Tacotron, ids: Sequence[Sequence[int]], embeds: Tensor, random: _Dropout) -> Memory:
    device = next(network.parameters()).device
    lengths = [len(line) for line in ids]
    padded = torch.zeros(len(ids), max(lengths), dtype=torch.long)
    for row, line in enumerate(ids):
        padded[row, : len(line)] = torch.tensor(line)
    masks = random.encoder(lengths, network.cfg.encoder_dims)
    return network.encode(padded.to(device), torch.tensor(lengths, device=device), embeds.to(device), masks)


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
            torch.cat(attention[row]).float().cpu().numpy(),
            stopped[row],
        )
        for row, mel in enumerate(mels)
    ]
