"""One training in several processes of torchrun: joining them, averaging gradients; knows no task."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from audio.errors import TrainingError

# Rank 0 validates and draws while the others wait in the next all-reduce, longer than the ten minutes NCCL
# allows.
_TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True)
class World:
    """This process's place among the ``size`` processes of one training."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process validates, logs and writes files."""
        return self.rank == 0

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the values of rank 0, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)

    def average_gradients(self, parameters: Sequence[nn.Parameter], extras: Sequence[float]) -> list[float]:
        """Average the gradients of all processes in place; returns the mean of each of ``extras``.

        One flat all-reduce rather than DistributedDataParallel: parameters that the loss uses outside of the
        network's forward (the scale and bias of GE2E) and parameters that a step leaves out need no special
        case, and the task sees the bare network. A parameter that got no gradient anywhere keeps None, as
        with one process.
        """
        if self.size == 1:
            return [float(value) for value in extras]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        present = [0.0 if p.grad is None else 1.0 for p in parameters]
        tail = torch.tensor([*present, *extras], dtype=torch.float32, device=self.device)
        flat = torch.cat([*(g.detach().reshape(-1).float() for g in gradients), tail])
        dist.all_reduce(flat)
        flat /= self.size
        offset = 0
        counts = flat[flat.numel() - tail.numel() :].tolist()
        for parameter, gradient, count in zip(parameters, gradients, counts, strict=False):
            chunk = flat[offset : offset + gradient.numel()].view_as(gradient).to(gradient.dtype)
            offset += gradient.numel()
            if count > 0:
                parameter.grad = chunk
        return counts[len(gradients) :]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextlib.contextmanager
def join(device: str | torch.device) -> Iterator[World]:
    """Join the processes named by torchrun's environment; alone (rank 0 of 1) when there is none.

    NCCL with one GPU a process when ``device`` is CUDA, gloo otherwise. A process group that exists already
    is used and left alone.

    Raises:
        TrainingError: more processes on this machine than GPUs.
    """
    place = torch.device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, place)
        return
    if place.type == "cuda":
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"Process {local_rank} of this machine has no GPU of its own: "
                "lower --nproc_per_node of torchrun, or train with --device cpu."
            )
        place = torch.device("cuda", local_rank)
        torch.cuda.set_device(place)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), place)
    finally:
        if ours:
            dist.destroy_process_group()
