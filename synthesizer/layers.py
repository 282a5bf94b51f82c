"""The building blocks of the Tacotron (Wang et al. 2017): pre-net, highway and CBHG; knows no text, no speakers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PreNet(nn.Module):
    """Two ReLU layers with dropout that stays on at inference (Shen et al. 2018, section 2.2)."""

    def __init__(self, in_dims: int, fc1_dims: int, fc2_dims: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_dims, fc1_dims)
        self.fc2 = nn.Linear(fc1_dims, fc2_dims)
        self.dropout = dropout

    def forward(self, x: Tensor, masks: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """(..., in_dims) -> (..., fc2_dims). ``masks`` (..., fc1_dims), (..., fc2_dims) replace the random dropout.

        With masks the caller owns the randomness, so that a line of a batch draws its own.
        """
        if masks is None:
            x = F.dropout(F.relu(self.fc1(x)), self.dropout, training=True)
            return F.dropout(F.relu(self.fc2(x)), self.dropout, training=True)
        return F.relu(self.fc2(F.relu(self.fc1(x)) * masks[0])) * masks[1]


class Highway(nn.Module):
    """y = g relu(W1 x) + (1 - g) x with g = sigmoid(W2 x) (Srivastava et al. 2015)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.W1 = nn.Linear(size, size)
        self.W2 = nn.Linear(size, size)
        nn.init.zeros_(self.W1.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.W2(x))
        return x + gate * (F.relu(self.W1(x)) - x)


class ConvNorm(nn.Module):
    """Convolution, ReLU (optional), batch norm: in this order, as the original."""

    def __init__(self, in_dims: int, out_dims: int, kernel: int, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_dims, out_dims, kernel, padding=kernel // 2, bias=False)
        self.bnorm = nn.BatchNorm1d(out_dims)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dims, T) -> (B, out_dims, T); an even kernel looks one step further back than ahead."""
        length = x.shape[-1]
        x = self.conv(x)[..., :length]
        return self.bnorm(F.relu(x) if self.relu else x)


class Cbhg(nn.Module):
    """Convolution bank, highways, bidirectional GRU (Wang et al. 2017, section 3.1)."""

    def __init__(self, kernels: int, in_dims: int, dims: int, projections: tuple[int, int], highways: int) -> None:
        super().__init__()
        self.conv1d_bank = nn.ModuleList(ConvNorm(in_dims, dims, k) for k in range(1, kernels + 1))
        self.conv_project1 = ConvNorm(kernels * dims, projections[0], 3)
        self.conv_project2 = ConvNorm(projections[0], projections[1], 3, relu=False)
        if projections[1] != dims:
            self.pre_highway: nn.Module = nn.Linear(projections[1], dims, bias=False)
        else:
            self.pre_highway = nn.Identity()
        self.highways = nn.ModuleList(Highway(dims) for _ in range(highways))
        self.rnn = nn.GRU(dims, dims // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """x (B, in_dims, T) -> (B, T, dims).

        mask (B, 1, T) is 1 inside and 0 beyond the ``lengths`` (B,); with both given a line's result does not depend
        on how far its batch is padded: every convolution sees zeros beyond the end, as it does for a line alone.
        """
        keep = mask.to(x.dtype) if mask is not None else 1.0
        residual = x = x * keep
        bank = torch.cat([conv(x) for conv in self.conv1d_bank], dim=1)
        # Max pooling of width 2 and stride 1; as a maximum of two it takes a third of max_pool1d's time on a CPU.
        pooled = torch.maximum(bank, torch.cat([bank[..., :1], bank[..., :-1]], dim=-1))
        x = self.conv_project2(self.conv_project1(pooled * keep) * keep) + residual
        x = self.pre_highway(x.transpose(1, 2))
        for highway in self.highways:
            x = highway(x)
        return _bidirectional(self.rnn, x, lengths)


def _bidirectional(gru: nn.GRU, x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (B, T, dims) -> (B, T, dims); each line's backward direction begins at its own end.

    The lines are turned around within their lengths instead of packed: the gradient of packing makes a tensor of the
    whole input's size at every step, which was a quarter of the training step on a CPU.
    """
    if lengths is None:
        return gru(x)[0]
    steps = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    inside = steps < lengths.unsqueeze(1)
    order = torch.where(inside, lengths.unsqueeze(1) - 1 - steps, steps)
    backward = _one_direction(gru, _reorder(x, order), "_reverse")
    return torch.cat([_one_direction(gru, x, ""), _reorder(backward, order)], dim=-1) * inside.unsqueeze(-1)


def _one_direction(gru: nn.GRU, x: Tensor, suffix: str) -> Tensor:
    weights = [getattr(gru, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    start = x.new_zeros(1, x.shape[0], gru.hidden_size)
    return torch.gru(x, start, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)[0]


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """x (B, T, dims) by order (B, T)."""
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]))
