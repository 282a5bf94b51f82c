"""Transcripts for recordings that have none, by pocketsphinx, as a folder-per-speaker corpus; trains nothing.

``python -m training.transcribe CORPUS -o OUT`` cuts each recording at its pauses into pieces of a length that a
synthesizer is trained on, and writes what was heard beside each. The recogniser errs in about every fifth word, mostly
for one that sounds alike: such text teaches voices, not spelling, so let it be a small share of a training's batches.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import TrainingError
from audio.io import load_wav, save_wav
from training.cli import add_verbose_argument, run_command
from training.corpus import Utterance, find_utterances
from training.files import write_text
from training.parallel import run_parallel
from training.preprocessing import clip_bar

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
FRAME_SECONDS = 0.01
"""Of pocketsphinx."""
PAUSE_SECONDS = 0.2
MIN_SECONDS, MAX_SECONDS = 1.5, 8.0
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class Heard:
    """A word, or silence and noise with an empty one, from ``start`` to ``end`` seconds."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Piece:
    """Words between two pauses, with half of these pauses."""

    text: str
    start: float
    end: float


def pieces(heard: Iterable[Heard]) -> list[Piece]:
    """Phrases between pauses, joined while they stay within ``MAX_SECONDS``; shorter ones than ``MIN_SECONDS`` and
    longer ones are left out."""
    phrases: list[Piece] = []
    silence, words = 0.0, False
    for item in heard:
        if not item.word:
            silence += item.end - item.start
            if words:
                phrases[-1] = replace(phrases[-1], end=item.start + (item.end - item.start) / 2)
            continue
        if words and silence < PAUSE_SECONDS:
            phrases[-1] = replace(phrases[-1], text=f"{phrases[-1].text} {item.word}", end=item.end)
        else:
            phrases.append(Piece(item.word, item.start - silence / 2, item.end))
        silence, words = 0.0, True
    joined: list[Piece] = []
    for phrase in phrases:
        if joined and phrase.end - joined[-1].start <= MAX_SECONDS:
            joined[-1] = Piece(f"{joined[-1].text} {phrase.text}", joined[-1].start, phrase.end)
        else:
            joined.append(phrase)
    return [piece for piece in joined if MIN_SECONDS <= piece.end - piece.start <= MAX_SECONDS]


def listen(wav: npt.NDArray[np.float32]) -> list[Heard]:
    """What is heard in wav (S,), 16 kHz."""
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw((np.clip(wav, -1.0, 1.0) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    return [
        Heard(
            "" if segment.word[0] in "<[" else _VARIANT.sub("", segment.word),
            segment.start_frame * FRAME_SECONDS,
            (segment.end_frame + 1) * FRAME_SECONDS,
        )
        for segment in decoder.seg() or ()
    ]


@lru_cache(maxsize=1)
def _decoder() -> Any:
    """One a worker process, as loading its models takes seconds."""
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def transcribe_corpus(corpus: Path, out: Path, processes: int = 0) -> int:
    """Write ``out/<speaker>/<id>-<n>.flac`` and ``.txt`` for the recordings of a corpus that have no transcript.

    Recordings of which there is a piece already are skipped.

    Returns:
        How many recordings gave pieces in this call.

    Raises:
        TrainingError: pocketsphinx is missing, or every recording has a transcript.
    """
    if find_spec("pocketsphinx") is None:
        raise TrainingError("Transcribing needs the package pocketsphinx: pip install pocketsphinx==5.1.1")
    silent = [utterance for utterance in find_utterances(corpus) if not utterance.text]
    if not silent:
        raise TrainingError(f"Every recording of {corpus} has a transcript already.")
    todo = [u for u in silent if not any((out / u.speaker).glob(f"{u.id}-*.txt"))]
    done = count = 0
    with clip_bar() as show:
        for outcome in run_parallel(partial(_transcribe, out=out), todo, processes, show):
            if outcome.error is not None:
                logger.warning("%s: %s", outcome.item.id, outcome.error)
            elif outcome.value:
                done, count = done + 1, count + outcome.value
    logger.info("%d pieces of %d recordings; %d gave none.", count, done, len(todo) - done)
    return done


def _transcribe(utterance: Utterance, out: Path) -> int:
    wav = load_wav(utterance.path, SAMPLE_RATE)
    found = pieces(listen(wav))
    for number, piece in enumerate(found):
        target = out / utterance.speaker / f"{utterance.id}-{number}.flac"
        target.parent.mkdir(parents=True, exist_ok=True)
        save_wav(target, wav[max(0, int(piece.start * SAMPLE_RATE)) : int(piece.end * SAMPLE_RATE)], SAMPLE_RATE)
        write_text(target.with_suffix(".txt"), piece.text + "\n")
    return len(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.transcribe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the new corpus")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    add_verbose_argument(parser)
    args = parser.parse_args(argv)

    def command() -> None:
        transcribe_corpus(args.corpus, args.out, args.n_processes)

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
