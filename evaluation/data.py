"""The held-out clips that everything is measured on; knows corpora, no models."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.mel import SYNTHESIZER_MEL
from training.corpus import Utterance, find_utterances
from training.holdout import held_out_speakers
from training.preprocessing import ClipConfig, load_clip

logger = logging.getLogger(__name__)

SAMPLE_RATE = SYNTHESIZER_MEL.sample_rate
ADULT = 16
CLIP = ClipConfig(max_seconds=60.0)
_AGE = re.compile(r"\bage (\d+)\b")


@dataclass(frozen=True)
class HeldOut:
    """Clips of speakers that no training has seen, or of all when the corpus is too small to hold any out."""

    clips: tuple[Utterance, ...]
    by_rule: bool

    @property
    def speakers(self) -> dict[str, list[Utterance]]:
        """Clips by speaker, in a fixed order that has nothing to do with the corpus' own."""
        found: dict[str, list[Utterance]] = defaultdict(list)
        for clip in sorted(self.clips, key=lambda clip: _shuffled(clip.id)):
            found[clip.speaker].append(clip)
        return {name: found[name] for name in sorted(found, key=_shuffled)}


def held_out(corpus: Path) -> HeldOut:
    """The held-out adults of a corpus (see training.holdout).

    Children, where SPEAKERS.TXT tells ages as speechocean762's does, are left out: no shipped model is meant for them.
    """
    utterances = find_utterances(corpus)
    names = held_out_speakers(utterances)
    if not names:
        logger.warning("No speakers of %s are held out by rule: all are measured, known to the models or not.", corpus)
    children = _children(corpus)
    kept = [u for u in utterances if (not names or u.speaker in names) and u.speaker not in children]
    return HeldOut(tuple(kept), bool(names))


def _children(corpus: Path) -> set[str]:
    tables = [path for folder in (corpus, *corpus.iterdir()) if (path := folder / "SPEAKERS.TXT").is_file()]
    rows = (line.split("|") for path in tables for line in path.read_text(encoding="utf-8").splitlines())
    return {row[0].strip() for row in rows if (age := _AGE.search(row[-1])) and int(age[1]) < ADULT}


def spread(clips: Iterable[Utterance], count: int) -> list[Utterance]:
    """``count`` clips, as evenly as can be over splits, sexes and speakers; the same for the same corpus."""
    speakers: dict[tuple[str, str | None, str], list[Utterance]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: _shuffled(clip.id)):
        speakers[clip.split, clip.sex, clip.speaker].append(clip)
    number: dict[tuple[str, str | None], int] = defaultdict(int)
    ranked = []
    for (split, sex, _), own in sorted(speakers.items(), key=lambda item: _shuffled(item[0][2])):
        ranked += [((rank, number[split, sex], split, sex or ""), clip) for rank, clip in enumerate(own)]
        number[split, sex] += 1
    return [clip for _, clip in sorted(ranked, key=lambda item: item[0])[:count]]


def load(clip: Utterance, seconds: float = 0.0) -> npt.NDArray[np.float32]:
    """The clip as trainings see it, float32 (S,); its first ``seconds`` only, unless 0.

    Raises:
        AudioError: it cannot be read or has too little speech.
    """
    wav = load_clip(clip.path, CLIP)
    return wav[: round(seconds * SAMPLE_RATE)] if seconds else wav


@cache
def clip_hash(path: Path) -> str:
    """What is in the file, so that a result stays known when a corpus is moved."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shuffled(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
