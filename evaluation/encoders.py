"""How well encoders tell held-out speakers apart: equal error rates; knows no synthesizer and no words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from encoder.loss import equal_error_rate
from evaluation.cache import Cache, Value, cache_key, compute
from evaluation.data import clip_hash
from evaluation.installed import Model
from evaluation.report import progress_bar
from evaluation.voices import Excerpt, Voice, measure_excerpt

Array = npt.NDArray[np.float64]

CHANNELS = {"plain": 0.0, "mild": 6.0, "strong": 12.0}
"""Deviation in dB of the random filters. Which encoder is better depends on it, so that one alone would mislead."""
VERSION = 2
"""Part of the cache's keys: raise it when ``measure_excerpt`` measures otherwise."""
ENROLLED = 3
FLOOR = "MFCC means and deviations"


def excerpt_values(
    excerpts: Sequence[Excerpt], encoder: Model | None, cache: Cache, *, filter_db: float = 0.0, processes: int = 0
) -> list[Value | None]:
    """``measure_excerpt`` of each, from the cache where it is known."""
    settings = ["excerpt", VERSION, encoder.sha256 if encoder else FLOOR, filter_db]
    keys = [cache_key(settings, clip_hash(e.clip.path), e.start, e.seconds) for e in excerpts]
    work = partial(measure_excerpt, encoder=encoder, filter_db=filter_db)
    name = encoder.name if encoder else FLOOR
    with progress_bar(f"voices by {name}{f', channel changed by {filter_db:g} dB' if filter_db else ''}") as bar:
        return compute(cache, work, excerpts, keys, processes=processes, progress=bar)


def encoder_figures(
    voices: Sequence[Voice], encoders: Sequence[Model], cache: Cache, processes: int = 0
) -> dict[str, Value]:
    """Name -> equal error rates of each encoder and of the floor, plain and with the channel changed at random."""
    excerpts = [excerpt for voice in voices for excerpt in voice.excerpts]
    owners = np.array([number for number, voice in enumerate(voices) for _ in voice.excerpts])
    result: dict[str, Value] = {}
    for encoder in (*encoders, None):
        name = encoder.name if encoder else FLOOR
        result[name] = {}
        for channel, filter_db in CHANNELS.items():
            values = excerpt_values(excerpts, encoder, cache, filter_db=filter_db, processes=processes)
            known = np.array([value is not None for value in values])
            embeds = np.array([value["embed"] for value in values if value is not None], float)
            if encoder is None:
                embeds = (embeds - embeds.mean(axis=0)) / np.maximum(embeds.std(axis=0), 1e-9)
            embeds /= np.maximum(np.linalg.norm(embeds, axis=1, keepdims=True), 1e-9)
            rates = error_rates(embeds, owners[known], [voice.split for voice in voices])
            result[name] |= {f"{channel} {kind}": rate for kind, rate in rates.items()}
    return result


def error_rates(embeds: Array, owners: npt.NDArray[np.int64], groups: Sequence[str]) -> dict[str, float | None]:
    """Equal error rates of unit-norm embeddings (N, embed) within groups of speakers, by two kinds of trial.

    "centroid": an utterance against the centroid of a speaker's first three others; "pairs": all pairs of utterances.
    """
    group = np.array(groups)[owners]
    cosines = embeds @ embeds.T
    first, second = np.triu_indices(len(embeds), 1)
    within = group[first] == group[second]
    pairs = _rate(cosines[first, second][within], (owners[first] == owners[second])[within])
    rank = np.array([np.sum(owners[:i] == owner) for i, owner in enumerate(owners)])
    speakers = [speaker for speaker in np.unique(owners) if np.sum(owners == speaker) > ENROLLED]
    if not speakers:
        return {"centroid": None, "pairs": pairs}
    centroids = np.stack([embeds[(owners == speaker) & (rank < ENROLLED)].sum(axis=0) for speaker in speakers])
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-9)
    tested = (rank >= ENROLLED) & np.isin(owners, speakers)
    scores = embeds[tested] @ centroids.T
    same = owners[tested][:, None] == np.array(speakers)[None, :]
    within = group[tested][:, None] == np.array(groups)[speakers][None, :]
    return {"centroid": _rate(scores[within], same[within]), "pairs": pairs}


def _rate(scores: Array, same: npt.NDArray[np.bool_]) -> float | None:
    return equal_error_rate(scores, same) if same.any() and not same.all() else None
