"""Where each symbol of a transcript is heard in its clip, found by pocketsphinx; knows no network.

``python -m synthesizer.align DATA`` adds ``durations/<id>.npy`` to a folder that synthesizer.preprocess wrote. With
them a training teaches the attention where to look: guided only towards the diagonal, attention of a small training
was seen to run along it like a clock, whatever the text, and the decoder to ignore what it saw.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import TrainingError
from audio.mel import SYNTHESIZER_MEL
from synthesizer.dataset import DURATIONS
from synthesizer.text import get_front_end
from training.cli import add_verbose_argument, run_command
from training.corpus import DropReport, ManifestEntry, read_manifest, run_parallel
from training.preprocessing import Progress, UnsuitableClipError, clip_bar, save_array

logger = logging.getLogger(__name__)

FRONT_END = "arpabet"
RECOGNISER_RATE = 100
"""Frames a second of pocketsphinx."""


@dataclass(frozen=True)
class _Word:
    first: int
    """Index of its first symbol."""
    phones: tuple[str, ...]
    """ARPAbet without stress, as the recogniser's model has them."""

    @property
    def name(self) -> str:
        return "_".join(self.phones)


def align_corpus(data: Path, *, processes: int = 0, progress: Progress | None = None) -> DropReport:
    """Write ``data/durations/<id>.npy`` for every transcribed clip that has none yet.

    A varied clip (``<id>-90``) takes the durations of its original, stretched to its own length.

    Returns:
        What could not be aligned and why: wrong transcripts, mostly.
    """
    if not _have_pocketsphinx():
        raise TrainingError("Aligning needs the package pocketsphinx: pip install pocketsphinx==5.1.1")
    entries = {entry.id: entry for entry in read_manifest(data) if entry.text}
    done = {path.stem for path in (data / DURATIONS).glob("*.npy")}
    varied = {id: original for id in entries if (original := id.rpartition("-")[0]) in entries}
    report = DropReport()
    todo = [entry for id, entry in entries.items() if id not in done and id not in varied]
    for outcome in run_parallel(partial(_align_clip, data=data), todo, processes, progress):
        if outcome.error is not None:
            report.add(outcome.item.id, getattr(outcome.error, "reason", "failed"), str(outcome.error))
    for id, original in varied.items():
        source = data / DURATIONS / f"{original}.npy"
        if id not in done and source.exists():
            ends = np.load(source).cumsum() * entries[id].frames / entries[original].frames
            save_array(data / DURATIONS / f"{id}.npy", np.diff(np.round(ends), prepend=0))
    return report


def _have_pocketsphinx() -> bool:
    from importlib.util import find_spec

    return find_spec("pocketsphinx") is not None


def _align_clip(entry: ManifestEntry, data: Path) -> None:
    wav = np.load(data / "wavs" / f"{entry.id}.npy")
    save_array(data / DURATIONS / f"{entry.id}.npy", symbol_durations(wav, entry.text or "", entry.frames))


def symbol_durations(wav: npt.NDArray[np.float32], text: str, frames: int) -> npt.NDArray[np.int64]:
    """Mel frames that each symbol of ``text`` takes in ``wav`` (S,), 16 kHz: (L,), sum ``frames``.

    Silence belongs to the symbol before it: the space or the mark between words, the end id after the last.

    Raises:
        UnsuitableClipError: the text cannot be what is said.
    """
    ids = _front_end().encode(text)
    symbols = [_front_end().symbols[i] for i in ids]
    words = _words(symbols)
    starts = np.full(len(ids) + 1, -1.0)
    for word, phones in zip(words, _recognise(wav, words), strict=True):
        starts[word.first : word.first + len(phones)] = phones
    starts[0] = 0.0
    starts[-1] = len(wav) / SYNTHESIZER_MEL.sample_rate
    # The end id and the symbols between words begin where the recogniser heard the sound before them end.
    for word, end in zip(words, _ends(wav, words), strict=True):
        starts[word.first + len(word.phones)] = end
    for index in range(len(ids) - 1, -1, -1):
        if starts[index] < 0:
            starts[index] = starts[index + 1]
    marks = np.round(starts[:-1] * SYNTHESIZER_MEL.sample_rate / SYNTHESIZER_MEL.hop_length)
    return np.diff(np.append(np.minimum(marks, frames), frames)).astype(np.int64)


def _words(symbols: Sequence[str]) -> list[_Word]:
    words: list[_Word] = []
    for index, symbol in enumerate(symbols):
        if not symbol[0].isalpha():
            continue
        phone = symbol.rstrip("012")
        if words and words[-1].first + len(words[-1].phones) == index:
            words[-1] = _Word(words[-1].first, (*words[-1].phones, phone))
        else:
            words.append(_Word(index, (phone,)))
    return words


def _recognise(wav: npt.NDArray[np.float32], words: list[_Word]) -> list[list[float]]:
    """Seconds at which each phone of each word begins."""
    return [[start for start, _ in word] for word in _aligned(wav.tobytes(), tuple(words))]


def _ends(wav: npt.NDArray[np.float32], words: list[_Word]) -> list[float]:
    """Seconds at which each word ends."""
    return [sum(word[-1]) for word in _aligned(wav.tobytes(), tuple(words))]


@lru_cache(maxsize=1)
def _aligned(sound: bytes, words: tuple[_Word, ...]) -> list[list[tuple[float, float]]]:
    """Start and length in seconds of each phone of each word, by two passes: words, then their phones."""
    decoder = _decoder()
    pcm = (np.clip(np.frombuffer(sound, np.float32), -1, 1) * 32767).astype(np.int16).tobytes()
    new = [name for name in dict.fromkeys(word.name for word in words) if decoder.lookup_word(name) is None]
    for name in new:
        decoder.add_word(name, name.replace("_", " "), name == new[-1])
    try:
        decoder.set_align_text(" ".join(word.name for word in words))
        _decode(decoder, pcm)
        decoder.set_alignment()
        _decode(decoder, pcm)
        # Read while iterating: an entry is only valid until the next one is asked for.
        found = [
            (word.name, [(phone.start / RECOGNISER_RATE, phone.duration / RECOGNISER_RATE) for phone in word])
            for word in decoder.get_alignment() or ()
        ]
    except RuntimeError as error:
        raise UnsuitableClipError("not what the transcript says", str(error)) from error
    spoken = [(name.split("(")[0], phones) for name, phones in found if name[0] not in "<["]
    if [name for name, _ in spoken] != [word.name for word in words]:
        raise UnsuitableClipError("not what the transcript says", f"{len(spoken)} of {len(words)} words were found")
    return [phones for _, phones in spoken]


def _decode(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


@lru_cache(maxsize=1)
def _decoder() -> Any:
    """One a worker process, as loading its model takes a second."""
    from pocketsphinx import Decoder

    return Decoder(samprate=SYNTHESIZER_MEL.sample_rate, loglevel="FATAL", bestpath=False)


@lru_cache(maxsize=1)
def _front_end() -> Any:
    return get_front_end(FRONT_END)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m synthesizer.align", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path, help="folder that synthesizer.preprocess wrote")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    add_verbose_argument(parser)
    args = parser.parse_args(argv)

    def command() -> None:
        with clip_bar() as show:
            report = align_corpus(args.data_root, processes=args.n_processes, progress=show)
        logger.info("%s", report.summary())

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
