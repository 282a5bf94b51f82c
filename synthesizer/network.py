"""The Tacotron of SV2TTS (Jia et al. 2018, section 2.2): symbols and a speaker embedding in, mel frames out.

Owns the state-dict names of the original; knows neither text nor files, devices or optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthesizer.config import TacotronConfig
from synthesizer.detail import DetailConfig, Detailer
from synthesizer.layers import Cbhg, PreNet


@dataclass
class TacotronOutput:
    """T frames, L symbols, T/r decoder steps."""

    mels: Tensor
    """(B, n_mels, T) from the decoder."""
    mels_post: Tensor
    """(B, n_mels, T) after the post-net."""
    attention: Tensor
    """(B, T/r, L), rows sum to 1."""
    stop_logits: Tensor
    """(B, T/r), positive where the line has ended."""


class Encoder(nn.Module):
    """Symbols -> hidden sequence: embedding, pre-net, CBHG (Wang et al. 2017, section 3.2)."""

    def __init__(self, cfg: TacotronConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(cfg.n_symbols, cfg.embed_dims)
        self.pre_net = PreNet(cfg.embed_dims, cfg.encoder_dims, cfg.encoder_dims, cfg.dropout)
        self.cbhg = Cbhg(
            cfg.encoder_kernels, cfg.encoder_dims, cfg.encoder_dims, (cfg.encoder_dims, cfg.encoder_dims), cfg.highways
        )

    def forward(self, ids: Tensor, lengths: Tensor, masks: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """ids (B, L), lengths (B,) -> (B, L, encoder_dims)."""
        x = self.pre_net(self.embedding(ids), masks).transpose(1, 2)
        return self.cbhg(x, _length_mask(lengths, ids.shape[1]).unsqueeze(1), lengths)


class LocationSensitiveAttention(nn.Module):
    """Scores from the query, the symbols and the cumulative past attention (Chorowski et al. 2015, equation 9)."""

    def __init__(self, dims: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, filters, kernel, padding=(kernel - 1) // 2)
        self.L = nn.Linear(filters, dims, bias=False)
        self.W = nn.Linear(dims, dims)
        self.v = nn.Linear(dims, 1, bias=False)

    def location_kernel(self) -> tuple[Tensor, Tensor]:
        """The convolution and the projection after it are both linear: (kernel, dims) and (dims,) do their work.

        One matrix product a step instead of a convolution with 32 channels of one input, whose backward was the most
        expensive operation of the training step on a CPU.
        """
        kernel = (self.L.weight @ self.conv.weight.squeeze(1)).t()
        bias = self.conv.bias
        assert bias is not None
        return kernel, self.L.weight @ bias

    def forward(
        self, query: Tensor, keys: Tensor, cumulative: Tensor, location: tuple[Tensor, Tensor], blocked: Tensor
    ) -> Tensor:
        """query (B, dims), keys (B, L, dims), cumulative (B, L), blocked (B, L) -> attention (B, L), rows sum to 1."""
        kernel, bias = location
        half = (kernel.shape[0] - 1) // 2
        windows = F.pad(cumulative, (half, half)).unfold(1, kernel.shape[0], 1)
        energy = torch.tanh((self.W(query) + bias).unsqueeze(1) + keys + windows @ kernel)
        scores = (energy @ self.v.weight.squeeze(0)).float()
        # The original multiplies padded scores by zero, which leaves them weight exp(0): padding must get none.
        return torch.softmax(scores.masked_fill(blocked, -torch.inf), dim=1)


class Decoder(nn.Module):
    """Pre-net, attention GRU, two residual LSTMs, projections to r frames and to the stop token.

    The attention does not see the residual LSTMs, so that with teacher forcing only the attention is a loop over
    steps; the LSTMs then run over whole sequences: half the time of a step on two CPU cores.
    """

    r: Tensor

    def __init__(self, cfg: TacotronConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.register_buffer("r", torch.tensor(cfg.r, dtype=torch.int))
        width = cfg.encoder_dims + cfg.speaker_embedding_size
        prenet_dims = 2 * cfg.decoder_dims
        self.prenet = PreNet(cfg.n_mels, prenet_dims, prenet_dims, cfg.dropout)
        self.attn_net = LocationSensitiveAttention(cfg.decoder_dims, cfg.attention_filters, cfg.attention_kernel)
        self.attn_rnn = nn.GRUCell(width + prenet_dims, cfg.decoder_dims)
        self.rnn_input = nn.Linear(width + cfg.decoder_dims, cfg.lstm_dims)
        self.res_rnn1 = nn.LSTMCell(cfg.lstm_dims, cfg.lstm_dims)
        self.res_rnn2 = nn.LSTMCell(cfg.lstm_dims, cfg.lstm_dims)
        self.mel_proj = nn.Linear(cfg.lstm_dims, cfg.n_mels * cfg.max_r, bias=False)
        self.stop_proj = nn.Linear(width + cfg.lstm_dims, 1)

    def frames(self, x: Tensor, r: int) -> Tensor:
        """LSTM output (B, N, lstm_dims) -> frames (B, n_mels, N * r); only the rows of r frames are multiplied."""
        weight = self.mel_proj.weight.view(self.cfg.n_mels, self.cfg.max_r, -1)[:, :r]
        mels = F.linear(x, weight.reshape(self.cfg.n_mels * r, -1))
        batch, steps = x.shape[:2]
        mels = mels.view(batch, steps, self.cfg.n_mels, r).transpose(1, 2)
        return mels.reshape(batch, self.cfg.n_mels, steps * r)

    def attend(self, prenet: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher-forced attention loop. prenet (B, N, 2 decoder_dims) -> attention (B, N, L), context (B, N, width),
        hidden (B, N, decoder_dims).
        """
        step = AttentionStep(self, memory)
        state = AttentionState.start(memory, self.cfg.decoder_dims)
        states = []
        for gates in step.prenet_gates(prenet).unbind(1):
            state = step(gates, state)
            states.append(state)
        attention, context, hidden = (
            torch.stack([getattr(s, name) for s in states], 1) for name in ("attention", "context", "hidden")
        )
        speaker = memory.embeds.unsqueeze(1).expand(-1, context.shape[1], -1).to(context.dtype)
        return attention, torch.cat([context, speaker], dim=-1), hidden

    def run_lstms(self, context: Tensor, hidden: Tensor) -> Tensor:
        """context (B, N, width), hidden (B, N, decoder_dims) -> (B, N, lstm_dims), whole sequences at once."""
        drop = partial(F.dropout, p=self.cfg.lstm_dropout, training=self.training)
        x = drop(self.rnn_input(torch.cat([context, hidden], dim=-1)))
        for cell in (self.res_rnn1, self.res_rnn2):
            x = x + drop(_run_cell(cell, x))
        return x


@dataclass
class Memory:
    """What the decoder attends to."""

    hidden: Tensor
    """(B, L, encoder_dims)"""
    keys: Tensor
    """(B, L, decoder_dims), the attention's projection of hidden and embedding."""
    embeds: Tensor
    """(B, speaker_embedding_size)"""
    blocked: Tensor
    """(B, L), True at padding."""


@dataclass
class AttentionState:
    hidden: Tensor
    """(B, decoder_dims)"""
    context: Tensor
    """(B, encoder_dims)"""
    cumulative: Tensor
    """(B, L), the sum of the attention so far."""
    attention: Tensor
    """(B, L), of the last step."""

    @classmethod
    def start(cls, memory: Memory, dims: int) -> AttentionState:
        batch, length, width = memory.hidden.shape
        zeros = memory.hidden.new_zeros
        past = torch.zeros(batch, length, device=memory.hidden.device)
        return cls(zeros(batch, dims), zeros(batch, width), past, past)


class AttentionStep:
    """One step of the attention GRU and the attention, with all that is constant over steps computed once.

    The speaker embedding is the same at every symbol and attention sums to 1, so its part of the context is the
    embedding itself: only the encoder's part is summed over the symbols.
    """

    def __init__(self, decoder: Decoder, memory: Memory) -> None:
        cfg = decoder.cfg
        cell = decoder.attn_rnn
        parts = [cfg.encoder_dims, cfg.speaker_embedding_size, 2 * cfg.decoder_dims]
        self._context_weight, speaker_weight, self._prenet_weight = cell.weight_ih.split(parts, dim=1)
        self._bias = F.linear(memory.embeds, speaker_weight, cell.bias_ih)
        self._cell = cell
        self._attention = decoder.attn_net
        self._location = decoder.attn_net.location_kernel()
        self._memory = memory
        # The GRU starts from a context of zeros, the speaker's part included; later contexts hold the embedding.
        self._first_bias = cell.bias_ih.expand_as(self._bias)

    def prenet_gates(self, prenet: Tensor) -> Tensor:
        """prenet (B, N, 2 decoder_dims) of a whole sequence -> the GRU's input gates without the context's part
        (B, N, 3 decoder_dims).
        """
        gates = F.linear(prenet, self._prenet_weight)
        bias = self._bias.unsqueeze(1)
        bias = torch.cat([self._first_bias.unsqueeze(1), bias.expand(-1, prenet.shape[1] - 1, -1)], dim=1)
        return gates + bias

    def __call__(self, prenet_gates: Tensor, state: AttentionState) -> AttentionState:
        """prenet_gates (B, 3 decoder_dims) -> the next state."""
        gates = prenet_gates + F.linear(state.context, self._context_weight)
        hidden = _gru_update(gates, F.linear(state.hidden, self._cell.weight_hh, self._cell.bias_hh), state.hidden)
        attention = self._attention(hidden, self._memory.keys, state.cumulative, self._location, self._memory.blocked)
        context = torch.bmm(attention.to(self._memory.hidden.dtype).unsqueeze(1), self._memory.hidden).squeeze(1)
        return AttentionState(hidden, context, state.cumulative + attention, attention)


class Tacotron(nn.Module):
    """Speaker-conditioned Tacotron; ``generate`` in synthesizer.generation runs it without a teacher."""

    step: Tensor
    stop_threshold: Tensor

    def __init__(self, cfg: TacotronConfig) -> None:
        super().__init__()
        self.cfg = cfg
        # Kept for the original's state dict: its training step count and trimming level travel with the weights.
        self.register_buffer("step", torch.zeros(1, dtype=torch.long))
        self.register_buffer("stop_threshold", torch.tensor(cfg.stop_threshold, dtype=torch.float32))
        self.encoder = Encoder(cfg)
        self.encoder_proj = nn.Linear(cfg.encoder_dims + cfg.speaker_embedding_size, cfg.decoder_dims, bias=False)
        self.decoder = Decoder(cfg)
        self.postnet = Cbhg(
            cfg.postnet_kernels, cfg.n_mels, cfg.postnet_dims, (cfg.postnet_dims, cfg.n_mels), cfg.highways
        )
        self.post_proj = nn.Linear(cfg.postnet_dims, cfg.n_mels, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.detailer: Detailer | None = None
        if cfg.detail is not None:
            self.add_detailer(cfg.detail)

    def add_detailer(self, cfg: DetailConfig) -> None:
        """Give the network a new detailer, as random as a new network; one that it had is lost."""
        self.cfg = replace(self.cfg, detail=cfg)
        self.detailer = Detailer(cfg, self.cfg.n_mels, self.cfg.n_symbols, self.cfg.speaker_embedding_size)

    @property
    def r(self) -> int:
        """Frames a decoder step makes."""
        return int(self.decoder.r)

    @r.setter
    def r(self, value: int) -> None:
        self.decoder.r.fill_(value)

    def encode(
        self, ids: Tensor, lengths: Tensor, embeds: Tensor, masks: tuple[Tensor, Tensor] | None = None
    ) -> Memory:
        """ids (B, L), lengths (B,), embeds (B, 256) -> what the decoder attends to."""
        hidden = self.encoder(ids, lengths, masks)
        speaker = embeds.unsqueeze(1).expand(-1, hidden.shape[1], -1).to(hidden.dtype)
        keys = self.encoder_proj(torch.cat([hidden, speaker], dim=-1))
        return Memory(hidden, keys, embeds.to(hidden.dtype), ~_length_mask(lengths, ids.shape[1]))

    def refine(self, mels: Tensor, frame_lengths: Tensor | None = None) -> Tensor:
        """The post-net: (B, n_mels, T) -> (B, n_mels, T)."""
        mask = None if frame_lengths is None else _length_mask(frame_lengths, mels.shape[-1]).unsqueeze(1)
        return self.post_proj(self.postnet(mels, mask, frame_lengths)).transpose(1, 2)

    def forward(
        self,
        ids: Tensor,
        lengths: Tensor,
        mels: Tensor,
        embeds: Tensor,
        frame_lengths: Tensor | None = None,
        r: int | None = None,
    ) -> TacotronOutput:
        """Teacher-forced. ids (B, L), lengths (B,), mels (B, n_mels, T) with T a multiple of r, embeds (B, 256).

        Whoever knows ``r``, which otherwise is read from the network's device, saves waiting for that.
        """
        r = r or self.r
        memory = self.encode(ids, lengths, embeds)
        teacher = F.pad(mels[:, :, r - 1 :: r], (1, 0))[:, :, :-1].transpose(1, 2)
        attention, context, hidden = self.decoder.attend(self.decoder.prenet(teacher), memory)
        x = self.decoder.run_lstms(context, hidden)
        out = self.decoder.frames(x, r)
        stop = self.decoder.stop_proj(torch.cat([x, context], dim=-1)).squeeze(-1)
        return TacotronOutput(out, self.refine(out, frame_lengths), attention, stop)


def _length_mask(lengths: Tensor, size: int) -> Tensor:
    """lengths (B,) -> (B, size), True inside."""
    return torch.arange(size, device=lengths.device).unsqueeze(0) < lengths.unsqueeze(1)


def _gru_update(gates_in: Tensor, gates_hidden: Tensor, hidden: Tensor) -> Tensor:
    """The GRU's equations (Cho et al. 2014) from both gate pre-activations (B, 3 dims), in PyTorch's order r, z, n."""
    reset_in, update_in, new_in = gates_in.chunk(3, dim=-1)
    reset_hidden, update_hidden, new_hidden = gates_hidden.chunk(3, dim=-1)
    update = torch.sigmoid(update_in + update_hidden)
    new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_hidden) * new_hidden)
    return new + update * (hidden - new)


def _run_cell(cell: nn.LSTMCell, x: Tensor) -> Tensor:
    """An LSTM cell over a whole sequence (B, N, dims) from a state of zeros, in one call."""
    zeros = x.new_zeros(1, x.shape[0], cell.hidden_size)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)[0]
