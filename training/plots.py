"""Figures of a training, drawn without a display; knows numbers and matplotlib's object interface only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.files import temporary_sibling

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(path: Path, figure: Figure) -> None:
    """Write a PNG so that a kill leaves the old picture or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_sibling(path)
    try:
        figure.savefig(partial, format="png", dpi=100)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def loss_figure(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    """Curves by name, each as (steps, values)."""
    figure = _new_figure(8, 4.5)
    axes = figure.add_subplot()
    for name, (steps, values) in curves.items():
        if len(steps):
            axes.plot(steps, values, label=name, marker="." if len(steps) < 50 else None)
    if axes.lines:
        axes.legend()
    positive = [value for _, values in curves.values() for value in values if np.isfinite(value)]
    if positive and min(positive) > 0:
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    return figure


def attention_figure(attention: np.ndarray, title: str = "") -> Figure:
    """Attention weights (decoder steps, symbols): time to the right, symbols upwards."""
    figure = _new_figure(8, 5)
    axes = figure.add_subplot()
    image = axes.imshow(np.asarray(attention).T, aspect="auto", origin="lower", interpolation="none", vmin=0)
    figure.colorbar(image, ax=axes)
    axes.set_xlabel("decoder step")
    axes.set_ylabel("symbol")
    axes.set_title(title)
    return figure


def mel_figure(mels: Mapping[str, np.ndarray], title: str = "") -> Figure:
    """Mel spectrograms (n_mels, T) by name, one below the other with one time axis and one colour scale."""
    figure = _new_figure(9, 1 + 2.4 * len(mels))
    low = min(float(np.min(mel)) for mel in mels.values())
    high = max(float(np.max(mel)) for mel in mels.values())
    rows = figure.subplots(len(mels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, mel) in zip(rows, mels.items(), strict=True):
        image = axes.imshow(mel, aspect="auto", origin="lower", interpolation="none", vmin=low, vmax=high)
        axes.set_ylabel(name)
        figure.colorbar(image, ax=axes)
    rows[-1].set_xlabel("frame")
    figure.suptitle(title)
    return figure


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
