"""Which speakers are kept for evaluation and never trained on; knows names only."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from training.corpus import original_voice

logger = logging.getLogger(__name__)

FRACTION = 0.16
"""So that speechocean762 as it is used here gives 20 of its 117 adults, and train-clean-100 40 of its speakers."""
SEED = 1
"""The order of ``split_speakers`` with the seed of the first synthesizer: its validation speakers are held out."""
MANY_SPEAKERS = 40
"""A split with fewer speakers than this keeps them all: it is somebody's own corpus, or one voice at length."""


class SplitSpoken(Protocol):
    """Anything with a speaker and a split: an Utterance or a ManifestEntry."""

    @property
    def speaker(self) -> str: ...

    @property
    def split(self) -> str: ...


SpokenT = TypeVar("SpokenT", bound=SplitSpoken)


def is_held_out(speaker: str) -> bool:
    """Whether a speaker of a split with many speakers is kept for evaluation, and so every variation of the voice."""
    digest = hashlib.sha256(f"{SEED}:{original_voice(speaker)}".encode()).digest()
    return int.from_bytes(digest, "big") < FRACTION * 2**256


def held_out_speakers(utterances: Sequence[SplitSpoken]) -> set[str]:
    """Names of the speakers kept for evaluation, of the splits with at least ``MANY_SPEAKERS`` speakers."""
    splits: dict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
        splits[utterance.split].add(utterance.speaker)
    many = [names for names in splits.values() if len(names) >= MANY_SPEAKERS]
    return {name for names in many for name in names if is_held_out(name)}


def trainable(utterances: Sequence[SpokenT], all_speakers: bool = False) -> list[SpokenT]:
    """Those that are not kept for evaluation; ``all_speakers`` keeps none."""
    held_out = set() if all_speakers else held_out_speakers(utterances)
    if held_out:
        logger.info("%d speakers are kept for evaluation (all_speakers=true trains on them, too).", len(held_out))
    return [utterance for utterance in utterances if utterance.speaker not in held_out]
