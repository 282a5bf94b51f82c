"""Where networks run: CPU or GPU, thread counts, seeds; knows no network."""

import logging
import os
import random
import re

import numpy as np
import torch

from audio.errors import ModelError

logger = logging.getLogger(__name__)

# The recurrent steps of synthesis are small: beyond this many threads they wait for each other.
MAX_THREADS = 8


def choose_device(name: str | None = None) -> torch.device:
    """Device for "cpu", "cuda", "cuda:N", "mps"; None or "auto" takes a CUDA GPU if there is one, else CPU.

    Raises ModelError for an unknown name or a device that this machine or this build of torch does not have.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", name)
    if match is None or (match[1] != "cuda" and match[2] is not None):
        raise ModelError(f"Unknown device {name!r}: use cpu, cuda, cuda:0 or mps.")
    if match[1] == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            built = torch.backends.cuda.is_built()
            reason = "no CUDA GPU was found" if built else "this PyTorch was built for the CPU only"
            raise ModelError(f"Device {name!r} cannot be used: {reason}. Use cpu or another PyTorch.")
        if int(match[2] or 0) >= count:
            raise ModelError(f"Device {name!r} does not exist: use cuda:0 to cuda:{count - 1}.")
    if match[1] == "mps" and not torch.backends.mps.is_available():
        raise ModelError("Device 'mps' cannot be used on this machine: use cpu.")
    return torch.device(name)


def configure_threads(threads: int | None = None) -> int:
    """Set how many CPU threads torch uses within an operation, and return the number.

    ``threads`` (above 0) wins, then OMP_NUM_THREADS, then the processors that this process may use, at most
    `MAX_THREADS`. OMP_WAIT_POLICY=passive must be set before torch is imported:
    `models.environment.prepare_environment` does it.
    """
    if not threads or threads < 1:
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        threads = int(asked) if asked.isdigit() and int(asked) > 0 else min(available_cpus(), MAX_THREADS)
    if os.environ.get("OMP_WAIT_POLICY", "").lower() != "passive":
        logger.debug("OMP_WAIT_POLICY is not passive: other work on this machine will slow networks down")
    torch.set_num_threads(threads)
    return threads


def available_cpus() -> int:
    """Processors that this process may use: its affinity, on Linux also its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()[:2]
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return max(1, count)
    return max(1, count)


def seed_everything(seed: int | None) -> torch.Generator:
    """Seed Python's, numpy's and torch's global generators and return a CPU generator with the same seed.

    With None a seed is drawn; it is the generator's ``initial_seed()``.
    """
    generator = torch.Generator()
    if seed is None:
        # Kept within 32 bits so that the drawn seed can be typed again.
        seed = generator.seed() % 2**32
    generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return generator
