"""Pictures of how well an encoder tells speakers apart; knows embeddings, no network and no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Projection = Literal["umap", "pca"]

UMAP_MIN_POINTS = 10
"""Under this UMAP's neighbourhoods are the whole set and PCA shows the same, at once."""


def project(embeds: np.ndarray, method: Projection = "umap", seed: int = 0) -> np.ndarray:
    """Embeddings (P, embed) -> plane (P, 2) by UMAP with cosine distance, or by principal components."""
    if method == "umap" and len(embeds) >= UMAP_MIN_POINTS:
        import warnings

        import umap

        neighbours = max(2, int(np.ceil(np.sqrt(len(embeds)))))
        with warnings.catch_warnings():
            # UMAP warns that a fixed seed costs it its parallelism, which is what is wanted.
            warnings.filterwarnings("ignore", message="n_jobs value")
            reducer = umap.UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed)
            return np.asarray(reducer.fit_transform(embeds), dtype=np.float64)
    centred = embeds.astype(np.float64) - embeds.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(embeds), 2))
    rank = min(2, len(singular))
    plane[:, :rank] = left[:, :rank] * singular[:rank]
    return plane


def projection_figure(embeds: np.ndarray, method: Projection, title: str, seed: int = 0) -> Figure:
    """Embeddings (N, M, embed) of N speakers on the plane, one colour a speaker."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    speakers, utterances, size = embeds.shape
    plane = project(embeds.reshape(-1, size), method, seed).reshape(speakers, utterances, 2)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["hsv"](np.linspace(0, 1, speakers, endpoint=False))
    for points, colour in zip(plane, colours, strict=True):
        axes.scatter(points[:, 0], points[:, 1], color=colour, s=14)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    return figure


def similarity_figure(similarity: np.ndarray, title: str) -> Figure:
    """Histogram of a similarity matrix (N, M, N): to the own centroid against to the others'."""
    from matplotlib.figure import Figure

    own = np.broadcast_to(np.eye(len(similarity), dtype=bool)[:, None, :], similarity.shape)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    low, high = float(similarity.min()), float(similarity.max())
    # An untrained network gives every speaker the same embedding, up to float32.
    bins = np.linspace(low, max(high, low + 1e-3), 50).tolist()
    axes.hist(similarity[~own], bins=bins, density=True, alpha=0.6, label="other speakers")
    axes.hist(similarity[own], bins=bins, density=True, alpha=0.6, label="same speaker")
    axes.set(title=title, xlabel="scaled similarity to a centroid", ylabel="density")
    axes.legend()
    return figure
