"""Figures of clones beside real speech and espeak-ng: words, voice, pitch, alignment; knows no formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from evaluation.cache import Cache, Value, cache_key, compute
from evaluation.data import HeldOut, clip_hash, spread
from evaluation.encoders import excerpt_values
from evaluation.installed import Model
from evaluation.measures import have, mean
from evaluation.report import progress_bar
from evaluation.speech import System, Take, Trial, measure_reading, measure_take, measure_trial
from evaluation.voices import Gallery, Voice, likeness, pitch_figures, scores
from evaluation.words import PACKAGE, known_sentences, near_misses, plain
from synthesizer.speed import CHARS_PER_SECOND
from training.corpus import Utterance

VERSION = 1
"""Part of the cache's keys: raise it when what is heard in a clone is measured otherwise."""
POOL = 60
"""Sentences that are spoken, the same for every size of evaluation."""
RECORDINGS = "real recordings"


@dataclass(frozen=True)
class Script:
    """The sentences to be said, the real readings of them, and what the recogniser picks from."""

    texts: tuple[str, ...]
    readings: tuple[Utterance, ...]
    candidates: tuple[str, ...]


def write_script(data: HeldOut) -> Script:
    """Transcripts of held-out recordings; without the recogniser there are no candidates to pick from."""
    clips = spread((clip for clip in data.clips if clip.text), POOL)
    if have(PACKAGE):
        known = known_sentences([clip.text or "" for clip in clips])
        readings = [clip for clip in clips if plain(clip.text or "") in known]
        return Script(tuple(known), tuple(readings), (*known, *near_misses(known)) if known else ())
    return Script(tuple(dict.fromkeys(plain(clip.text or "") for clip in clips)), tuple(clips), ())


@dataclass(frozen=True)
class Listener:
    """Who listens to speech, and where what was heard is kept."""

    judge: Model
    script: Script
    cache: Cache
    processes: int = 0

    def _key(self, *parts: object) -> str:
        listeners = [self.judge.sha256, self.script.candidates, have("speechmos") and have("onnxruntime")]
        return cache_key(["speech", VERSION, *listeners], *parts)

    def hear_readings(self, clips: Sequence[Utterance]) -> list[Value]:
        """What is heard in real recordings of the script."""
        work = partial(measure_reading, judge=self.judge, candidates=self.script.candidates)
        keys = [self._key("real", clip_hash(clip.path)) for clip in clips]
        with progress_bar("listening to recordings") as bar:
            values = compute(self.cache, work, clips, keys, processes=self.processes, progress=bar)
        return [value for value in values if value is not None]

    def hear(self, system: System, takes: Sequence[Take]) -> list[tuple[Take, Value]]:
        """The takes that could be made, with what is heard in them."""
        work = partial(measure_take, system=system, judge=self.judge, candidates=self.script.candidates)
        keys = [self._key(system.identity, take.text, _voice_key(take.voice)) for take in takes]
        with progress_bar(f"clones by {system.name}") as bar:
            values = compute(self.cache, work, takes, keys, processes=self.processes, progress=bar)
        return [(take, value) for take, value in zip(takes, values, strict=True) if value is not None]


def _voice_key(voice: Voice) -> list[object]:
    return [voice.sex, [[clip_hash(e.clip.path), e.start, e.seconds] for e in voice.reference]]


def word_figures(values: Sequence[Value]) -> Value:
    """Error rates over all words and letters, share of sentences picked from the closed set, DNSMOS."""
    known = [value for value in values if "words" in value]
    words, letters = sum(v["words"] for v in known), sum(v["letters"] for v in known)
    return {
        "wer": sum(v["word_errors"] for v in known) / words if words else None,
        "cer": sum(v["letter_errors"] for v in known) / letters if letters else None,
        "identified": mean([float(v["identified"]) for v in known]),
        "mos": mean([v["mos"] for v in values]),
        "items": len(values),
    }


@dataclass(frozen=True)
class VoiceBook:
    """What is known of the voices: embeddings of their other recordings, and their pitch."""

    voices: tuple[Voice, ...]
    gallery: Gallery
    reference_f0: tuple[float, ...]
    other_f0: tuple[tuple[float, ...], ...]


def read_voices(voices: Sequence[Voice], judge: Model, cache: Cache, processes: int = 0) -> VoiceBook:
    """Measure the recordings of the voices; those that cannot be read, or have no others, are left out."""
    values = iter(excerpt_values([e for voice in voices for e in voice.excerpts], judge, cache, processes=processes))
    kept, embeds, references, others = [], [], [], []
    for voice in voices:
        own = [next(values) for _ in voice.excerpts]
        before = [value["f0"] for value in own[: len(voice.reference)] if value]
        after = [value for value in own[len(voice.reference) :] if value]
        if before and after:
            kept.append(voice)
            embeds.append(np.array([value["embed"] for value in after]))
            references.append(float(np.median(before)))
            others.append(tuple(value["f0"] for value in after))
    return VoiceBook(tuple(kept), Gallery(embeds, [v.split for v in kept]), tuple(references), tuple(others))


def real_voice_figures(book: VoiceBook) -> Value:
    """What the voices' own recordings score: the ceiling."""
    owners = [number for number, embeds in enumerate(book.gallery.embeds) for _ in embeds]
    items = np.concatenate(list(book.gallery.embeds))
    return likeness(scores(items, owners, book.gallery, inside=True), owners) | {
        "pitch": pitch_figures(
            [book.reference_f0[owner] for owner in owners],
            [f0 for own in book.other_f0 for f0 in own],
            [book.voices[owner].sex for owner in owners],
        )
    }


def clone_voice_figures(book: VoiceBook, heard: Sequence[tuple[Take, Value]]) -> Value:
    """The same of clones; those in which no speech was found count as failed, in ``silent``."""
    number = {voice.speaker: index for index, voice in enumerate(book.voices)}
    known = [(number[t.voice.speaker], v) for t, v in heard if t.voice.speaker in number and v["embed"] is not None]
    owners = [owner for owner, _ in known]
    items = np.array([value["embed"] for _, value in known])
    matrix = scores(items, owners, book.gallery) if known else np.zeros((0, len(book.voices)))
    return likeness(matrix, owners) | {
        "silent": sum(value["embed"] is None for _, value in heard),
        "pitch": pitch_figures(
            [book.reference_f0[owner] for owner in owners],
            [value["f0"] for _, value in known],
            [book.voices[owner].sex for owner in owners],
        ),
    }


def alignment_figures(
    voices: Sequence[Voice],
    texts: Sequence[str],
    encoder: Model,
    synthesizer: Model,
    cache: Cache,
    processes: int = 0,
) -> Value:
    """Shares of sentences that were not spoken whole and once, and lengths against those of real speech."""
    trials = [Trial(voices[number % len(voices)], text) for number, text in enumerate(texts)]
    settings = ["trial", VERSION, encoder.sha256, synthesizer.sha256]
    keys = [cache_key(settings, trial.text, _voice_key(trial.voice)) for trial in trials]
    work = partial(measure_trial, encoder=encoder, synthesizer=synthesizer)
    with progress_bar(f"sentences by {synthesizer.name}") as bar:
        done = [v for v in compute(cache, work, trials, keys, processes=processes, progress=bar) if v is not None]
    problems: dict[str, int] = {}
    for problem in (problem for value in done for problem in value["problems"]):
        problems[problem] = problems.get(problem, 0) + 1
    ratios = [v["seconds"] * CHARS_PER_SECOND / max(v["letters"], 1) for v in done]
    return {
        "sentences": len(done),
        "failed": mean([float(not v["ok"]) for v in done]),
        "failed_at_first": mean([float(not v["first_time"]) for v in done]),
        "failed_segments": sum(v["failed_segments"] for v in done) / max(sum(v["segments"] for v in done), 1),
        "problems": problems,
        "failed_by_words": {
            f"{low} to {high}": mean([float(not v["ok"]) for v in done if low <= v["words"] <= high])
            for low, high in ((1, 3), (4, 15), (16, 30), (31, 62))
        },
        "rate": speaking_rate(done),
        "duration": float(np.median(ratios)) if ratios else None,
        "duration_off": mean([float(not 0.5 <= ratio <= 2) for ratio in ratios]),
    }


def speaking_rate(values: Sequence[Value]) -> float | None:
    """Letters a second of recordings, the median."""
    rates = [value["letters"] / value["seconds"] for value in values]
    return float(np.median(rates)) if rates else None
