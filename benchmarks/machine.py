"""What a benchmark says of the machine it runs on; knows no models."""

import os
import platform


def load() -> str:
    """Of the machine, over the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def describe(threads: int) -> str:
    """The first line of a benchmark's output."""
    import torch

    cores = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"load {load()} on {cores}, {threads} threads, torch {torch.__version__}"
