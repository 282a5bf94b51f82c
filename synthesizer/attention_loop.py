"""The teacher-forced attention loop of the decoder with its own backward pass; knows tensors only.

Autograd's backward of this loop spends most of its time adding up gradients of the same weights, keys and hidden
sequence once a step. Here the loop back in time carries what depends on time alone, and every weight's gradient is one
matrix product at the end: benchmarks/synthesizer_training.py shows the ratio, a test holds both gradients equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class AttentionLoop(torch.autograd.Function):
    """N steps of GRU and location-sensitive attention. Sizes: B batch, L symbols, D attention, E encoder, K kernel.

    apply(gates (B, N, 3D), keys (B, L, D), hidden (B, L, E), blocked (B, L), context_weight (3D, E),
    hidden_weight (3D, D), hidden_bias (3D,), query_weight (D, D), query_bias (D,), location (K, D), v (D,))
    -> attention (B, N, L), context (B, N, E), state (B, N, D), all float32. ``gates`` holds all that the GRU's input
    gates get from elsewhere than the context. The energies are computed in the dtype of ``keys``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        keys: Tensor,
        hidden: Tensor,
        blocked: Tensor,
        context_weight: Tensor,
        hidden_weight: Tensor,
        hidden_bias: Tensor,
        query_weight: Tensor,
        query_bias: Tensor,
        location: Tensor,
        v: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(gates.device.type, enabled=False):
            batch, steps, _ = gates.shape
            length, dims = keys.shape[1:]
            gates = gates.float()
            energies = keys.new_empty(steps, batch, length, dims)
            attentions: list[Tensor] = []
            contexts: list[Tensor] = []
            states: list[Tensor] = []
            saved: list[tuple[Tensor, ...]] = []
            state = gates.new_zeros(batch, dims)
            context = gates.new_zeros(batch, hidden.shape[2])
            cumulative = gates.new_zeros(batch, length)
            low_v, low_location = v.to(keys.dtype), location.to(keys.dtype)
            for step in range(steps):
                gate_in = torch.addmm(gates[:, step], context, context_weight.t())
                gate_hidden = torch.addmm(hidden_bias, state, hidden_weight.t())
                reset, update = torch.sigmoid(gate_in[:, : 2 * dims] + gate_hidden[:, : 2 * dims]).split(dims, dim=1)
                new_hidden = gate_hidden[:, 2 * dims :]
                new = torch.tanh(torch.addcmul(gate_in[:, 2 * dims :], reset, new_hidden))
                state = torch.lerp(new, state, update)
                query = torch.addmm(query_bias, state, query_weight.t()).to(keys.dtype)
                energy = torch.matmul(_windows(cumulative, location.shape[0]).to(keys.dtype), low_location)
                energy = energy.add_(keys).add_(query.unsqueeze(1)).tanh_()
                scores = (energy @ low_v).float().masked_fill_(blocked, -torch.inf)
                attention = torch.softmax(scores, dim=1)
                context = torch.bmm(attention.to(hidden.dtype).unsqueeze(1), hidden).squeeze(1).float()
                cumulative = cumulative + attention
                energies[step] = energy
                attentions.append(attention)
                contexts.append(context)
                states.append(state)
                saved.append((reset, update, new, new_hidden))
            stacked = [torch.stack(s, 1) for s in (attentions, contexts, states)]
            ctx.steps_saved = (energies, saved)
            ctx.save_for_backward(
                *stacked, hidden, context_weight, hidden_weight, query_weight, location, v, keys.new_empty(0)
            )
            return stacked[0], stacked[1], stacked[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_attentions: Tensor, d_contexts: Tensor, d_states: Tensor) -> tuple[Tensor | None, ...]:
        attentions, contexts, states, hidden, context_weight, hidden_weight, query_weight, location, v, like = (
            ctx.saved_tensors
        )
        energies, saved = ctx.steps_saved
        del ctx.steps_saved
        with torch.autocast(attentions.device.type, enabled=False):
            batch, steps, length = attentions.shape
            kernel = location.shape[0]
            low_v, low_location = v.to(like.dtype), location.to(like.dtype)
            d_context_total = torch.empty_like(contexts)
            d_scores = torch.empty_like(attentions)
            d_gates_in, d_gates_hidden, d_queries = [], [], []
            d_state = torch.zeros_like(states[:, 0])
            d_context = torch.zeros_like(contexts[:, 0])
            d_cumulative = torch.zeros_like(attentions[:, 0])
            d_v = torch.zeros_like(v)
            for step in reversed(range(steps)):
                attention, energy = attentions[:, step], energies[step]
                d_context_total[:, step] = d_context = d_contexts[:, step] + d_context
                d_attention = d_attentions[:, step] + d_cumulative
                d_attention += torch.bmm(hidden, d_context.to(hidden.dtype).unsqueeze(2)).squeeze(2)
                d_score = attention * (d_attention - (attention * d_attention).sum(1, keepdim=True))
                d_scores[:, step] = d_score
                low_score = d_score.to(like.dtype)
                d_v += torch.mv(energy.view(-1, energy.shape[-1]).t(), low_score.reshape(-1))
                # d tanh: energy becomes its own gradient in place; all steps are needed again after the loop.
                energy.mul_(energy).neg_().add_(1.0).mul_(low_v).mul_(low_score.unsqueeze(2))
                d_query = energy.sum(1, dtype=torch.float32)
                d_cumulative = d_cumulative + _sum_windows(torch.matmul(energy, low_location.t()).float(), kernel)
                d_state = d_states[:, step] + d_state + d_query @ query_weight
                reset, update, new, new_hidden = saved[step]
                before = states[:, step - 1] if step else torch.zeros_like(d_state)
                d_new = d_state * (1 - update) * (1 - new * new)
                d_update = d_state * (before - new) * update * (1 - update)
                d_reset = d_new * new_hidden * reset * (1 - reset)
                d_gate_in = torch.cat([d_reset, d_update, d_new], dim=1)
                d_gate_hidden = torch.cat([d_reset, d_update, d_new * reset], dim=1)
                d_context = d_gate_in @ context_weight
                d_state = torch.addmm(d_state * update, d_gate_hidden, hidden_weight)
                d_gates_in.append(d_gate_in)
                d_gates_hidden.append(d_gate_hidden)
                d_queries.append(d_query)
            d_gates = torch.stack(d_gates_in[::-1], 1)
            d_gate_hidden = torch.stack(d_gates_hidden[::-1], 1).flatten(0, 1)
            d_query = torch.stack(d_queries[::-1], 1).flatten(0, 1)
            before_context = F.pad(contexts, (0, 0, 1, 0))[:, :-1].flatten(0, 1)
            before_state = F.pad(states, (0, 0, 1, 0))[:, :-1].flatten(0, 1)
            before_sum = F.pad(attentions.cumsum(1), (0, 0, 1, 0))[:, :-1].transpose(0, 1).flatten(0, 1)
            windows = _windows(before_sum, kernel).to(like.dtype).reshape(-1, kernel)
            return (
                d_gates,
                energies.sum(0, dtype=torch.float32).to(like.dtype),
                torch.bmm(attentions.transpose(1, 2).to(hidden.dtype), d_context_total.to(hidden.dtype)),
                None,
                d_gates.flatten(0, 1).t() @ before_context,
                d_gate_hidden.t() @ before_state,
                d_gate_hidden.sum(0),
                d_query.t() @ states.flatten(0, 1),
                d_query.sum(0),
                (windows.t() @ energies.view(-1, energies.shape[-1])).to(location.dtype),
                d_v,
            )


def _windows(cumulative: Tensor, kernel: int) -> Tensor:
    """(B, L) -> (B, L, kernel): what the location convolution sees at each symbol, zeros beyond both ends."""
    half = (kernel - 1) // 2
    return F.pad(cumulative, (half, half)).unfold(1, kernel, 1)


def _sum_windows(windows: Tensor, kernel: int) -> Tensor:
    """The transpose of _windows: (B, L, kernel) -> (B, L).

    Row l belongs l places further right: in rows one shorter than they were laid down, each slips by its number.
    """
    batch, length, _ = windows.shape
    half, width = (kernel - 1) // 2, length + kernel
    laid = windows.new_zeros(batch, length, width)
    laid[:, :, :kernel] = windows
    slipped = laid.view(batch, -1)[:, : length * (width - 1)].view(batch, length, width - 1)
    return slipped.sum(1)[:, half : half + length]
