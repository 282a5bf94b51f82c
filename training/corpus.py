"""Finds the utterances of speech corpora in the layouts people have; knows no sound and no network."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from audio.errors import TrainingError
from audio.io import AUDIO_SUFFIXES
from training.manifest import DropReport, ManifestEntry, ManifestWriter, read_manifest
from training.parallel import Outcome, run_parallel

__all__ = [
    "LAYOUTS",
    "DropReport",
    "ManifestEntry",
    "ManifestWriter",
    "Outcome",
    "Utterance",
    "find_utterances",
    "read_manifest",
    "run_parallel",
    "split_speakers",
]

logger = logging.getLogger(__name__)

_MAX_DEPTH = 6
_DIGITS = re.compile(r"\d+")
_VOXCELEB_SPEAKER = re.compile(r"id\d{5}")
# The suffix that synthesizer.preprocess --vary adds to a voice that is played faster or slower.
_VARIED = re.compile(r"-\d{2,3}$")
_UNSAFE = re.compile(r"[^\w.-]+")
_TEXT_SUFFIXES = (".normalized.txt", ".original.txt", ".txt")
_AUDIO = tuple(AUDIO_SUFFIXES)


@dataclass(frozen=True)
class Utterance:
    """One recording of one speaker; ``id`` is unique in its corpus and fit to be a file name."""

    path: Path
    speaker: str
    id: str
    text: str | None = None
    split: str = ""
    sex: str | None = None
    """"F", "M" or None when the corpus does not say."""


class _Folder:
    """What a folder holds: names of its sub-folders and of its files, without hidden ones, sorted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.dirs: list[str] = []
        self.files: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        (self.dirs if entry.is_dir() else self.files).append(entry.name)
        except OSError as error:
            logger.warning("%s cannot be read and is left out: %s", path, error.strerror)
        self.dirs.sort()
        self.files.sort()

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def clips(self) -> list[str]:
        return [name for name in self.files if name.lower().endswith(_AUDIO)]

    def sub(self, name: str) -> _Folder:
        return _Folder(os.path.join(self.path, name))

    def subs(self) -> Iterator[_Folder]:
        for name in self.dirs:
            yield self.sub(name)

    def file(self, name: str) -> Path:
        return Path(self.path, name)


def find_utterances(root: Path | str, layout: str = "auto", splits: Sequence[str] | None = None) -> list[Utterance]:
    """All utterances under ``root``, sorted by id, with their transcripts when the corpus has them.

    root: a corpus, one of its splits, or a folder of several corpora. layout: one of LAYOUTS, or "auto" to
    recognise the layout of each folder. splits: names of the splits (or of folders of speakers) to keep; None
    keeps all.

    Raises:
        TrainingError: nothing found; the message says what the layouts look like.
    """
    root = Path(root)
    if layout != "auto" and layout not in LAYOUTS:
        raise TrainingError(f'There is no corpus layout "{layout}": choose auto, {", ".join(LAYOUTS)}.')
    if not root.is_dir():
        raise TrainingError(f"{root} is not a folder: give the folder that holds the corpus.")
    # Resolved so that "." has a name; a corpus is read where it lies.
    found = list(_walk(_Folder(str(root.resolve())), layout, 0))
    if splits is not None:
        known = sorted({utterance.split for utterance in found})
        missing = sorted(set(splits) - set(known))
        if missing and found:
            raise TrainingError(f"{root} has no split {', '.join(missing)}; it has {', '.join(known)}.")
        found = [utterance for utterance in found if utterance.split in splits]
    if not found:
        raise TrainingError(_nothing_found(root, layout))
    return sorted(_with_unique_ids(found), key=lambda utterance: utterance.id)


def _nothing_found(root: Path, layout: str) -> str:
    looks = "; ".join(f"{name}: {reader.looks_like}" for name, reader in LAYOUTS.items() if layout in ("auto", name))
    kinds = " ".join(_AUDIO)
    return f"No speech was found in {root}. Clips ({kinds}) are expected as in one of these layouts: {looks}."


def _walk(folder: _Folder, layout: str, depth: int) -> Iterator[Utterance]:
    """Utterances of the corpora in a folder: it is one itself, or some of its sub-folders are."""
    for name, reader in LAYOUTS.items():
        if layout in ("auto", name) and reader.recognise(folder):
            # Loose clips beside a corpus must not turn that corpus into one speaker.
            if name == "folders" and layout == "auto" and _holds_corpora(folder):
                break
            logger.info("%s: layout %s", folder.path, name)
            yield from reader.read(folder)
            return
    if layout == "folders":
        yield from _read_folders(folder)
    elif depth < _MAX_DEPTH:
        for sub in folder.subs():
            yield from _walk(sub, layout, depth + 1)


def _holds_corpora(folder: _Folder) -> bool:
    special = [reader for name, reader in LAYOUTS.items() if name != "folders"]
    for sub in folder.subs():
        if any(reader.recognise(level) for level in (sub, *itertools.islice(sub.subs(), 3)) for reader in special):
            return True
    return False


def _is_librispeech(folder: _Folder) -> bool:
    """A split: speaker and chapter folders named by numbers."""
    for name in [name for name in folder.dirs if _DIGITS.fullmatch(name)][:3]:
        chapters = [chapter for chapter in folder.sub(name).dirs if _DIGITS.fullmatch(chapter)]
        if any(folder.sub(name).sub(chapter).clips for chapter in chapters[:3]):
            return True
    return False


def _read_librispeech(folder: _Folder) -> Iterator[Utterance]:
    sexes = _read_librispeech_sexes(Path(folder.path))
    for speaker in folder.subs():
        for chapter in speaker.subs():
            texts = {}
            for name in chapter.files:
                if name.endswith(".trans.txt"):
                    texts.update(_read_table(chapter.file(name), " "))
            beside = set(chapter.files)
            for name in chapter.clips:
                stem = os.path.splitext(name)[0]
                text = texts.get(stem) or _text_beside(chapter, stem, beside)
                yield Utterance(chapter.file(name), speaker.name, stem, text, folder.name, sexes.get(speaker.name))


def _read_librispeech_sexes(split: Path) -> dict[str, str]:
    """Sex by speaker from SPEAKERS.TXT or speakers.tsv (LibriTTS), of the split or of a folder above it."""
    for folder in (split, *list(split.parents)[:2]):
        for name, separator in (("SPEAKERS.TXT", "|"), ("SPEAKERS.txt", "|"), ("speakers.tsv", "\t")):
            if (folder / name).is_file():
                rows = [line.split(separator) for line in _lines(folder / name) if not line.startswith(";")]
                return {row[0].strip(): sex for row in rows if len(row) > 1 and (sex := _sex(row[1]))}
    return {}


def _is_ljspeech(folder: _Folder) -> bool:
    return "metadata.csv" in folder.files and "wavs" in folder.dirs


def _read_ljspeech(folder: _Folder) -> Iterator[Utterance]:
    """metadata.csv has id|text|normalised text; the last is preferred."""
    texts = {}
    for line in _lines(folder.file("metadata.csv")):
        name, *columns = line.split("|")
        texts[os.path.splitext(name)[0]] = next((text.strip() for text in reversed(columns) if text.strip()), None)
    wavs = folder.sub("wavs")
    for name in wavs.clips:
        stem = os.path.splitext(name)[0]
        yield Utterance(wavs.file(name), folder.name, stem, texts.get(stem), folder.name)


def _is_vctk(folder: _Folder) -> bool:
    return any(name.startswith("wav48") for name in folder.dirs)


def _read_vctk(folder: _Folder) -> Iterator[Utterance]:
    sexes = {}
    if "speaker-info.txt" in folder.files:
        for row in (line.split() for line in _lines(folder.file("speaker-info.txt"))):
            if len(row) > 2 and (sex := _sex(row[2])):
                sexes["p" + row[0] if row[0].isdigit() else row[0]] = sex
    texts = folder.sub("txt")
    for speaker in folder.sub(next(name for name in folder.dirs if name.startswith("wav48"))).subs():
        transcripts = texts.sub(speaker.name) if speaker.name in texts.dirs else None
        beside = set(transcripts.files) if transcripts else set()
        for name in speaker.clips:
            stem = os.path.splitext(name)[0]
            # Version 0.92 has each sentence from two microphones; the second would only repeat it.
            if stem.endswith("_mic2"):
                continue
            stem = stem.removesuffix("_mic1")
            text = _text_beside(transcripts, stem, beside) if transcripts else None
            yield Utterance(speaker.file(name), speaker.name, stem, text, folder.name, sexes.get(speaker.name))


def _is_voxceleb(folder: _Folder) -> bool:
    return any(_VOXCELEB_SPEAKER.fullmatch(name) for name in folder.dirs)


def _read_voxceleb(folder: _Folder) -> Iterator[Utterance]:
    sexes = {}
    for above in (Path(folder.path), *list(Path(folder.path).parents)[:2]):
        for table in sorted(above.glob("vox*_meta.csv")):
            for row in (re.split(r"\s*[\t,]\s*", line.strip()) for line in _lines(table)):
                if len(row) > 2 and (sex := _sex(row[2])):
                    sexes[row[0]] = sex
    # VoxCeleb2/dev/aac is the split "dev": the folder itself is only named by its format.
    split = Path(folder.path).parent.name if folder.name in ("aac", "m4a", "wav") else folder.name
    for speaker in folder.subs():
        if _VOXCELEB_SPEAKER.fullmatch(speaker.name):
            for clip in _clips_below(speaker, split):
                yield replace(clip, sex=sexes.get(speaker.name))


def _is_folders(folder: _Folder) -> bool:
    """A folder of speakers' folders; or of clips alone, which are then one speaker's."""
    return any(sub.clips for sub in folder.subs()) or (bool(folder.clips) and not folder.dirs)


def _read_folders(folder: _Folder) -> Iterator[Utterance]:
    if folder.clips and not folder.dirs:
        yield from _clips_below(folder, folder.name)
    for speaker in folder.subs():
        yield from _clips_below(speaker, folder.name)


def _clips_below(speaker: _Folder, split: str) -> Iterator[Utterance]:
    """All clips of a speaker's folder at any depth, named by the folders between."""

    def below(folder: _Folder, prefix: str, depth: int) -> Iterator[Utterance]:
        beside = set(folder.files)
        for name in folder.clips:
            stem = os.path.splitext(name)[0]
            label = stem if prefix and stem.startswith(prefix) else f"{prefix}-{stem}"
            yield Utterance(folder.file(name), speaker.name, label, _text_beside(folder, stem, beside), split)
        if depth < _MAX_DEPTH:
            for sub in folder.subs():
                yield from below(sub, f"{prefix}-{sub.name}", depth + 1)

    return below(speaker, speaker.name, 0)


@dataclass(frozen=True)
class Layout:
    """How a corpus lies on disk: ``recognise`` tells whether a folder is one, ``read`` gives its clips."""

    looks_like: str
    recognise: Callable[[_Folder], bool]
    read: Callable[[_Folder], Iterator[Utterance]]


# In the order in which a folder is tried: any of the first four could pass for a plain folder of speakers.
LAYOUTS: dict[str, Layout] = {
    "librispeech": Layout("SPLIT/SPEAKER/CHAPTER/*.flac with *.trans.txt beside", _is_librispeech, _read_librispeech),
    "libritts": Layout("SPLIT/SPEAKER/CHAPTER/*.wav with *.normalized.txt beside", _is_librispeech, _read_librispeech),
    "ljspeech": Layout("metadata.csv and wavs/*.wav", _is_ljspeech, _read_ljspeech),
    "vctk": Layout("wav48*/SPEAKER/* and txt/SPEAKER/*.txt", _is_vctk, _read_vctk),
    "voxceleb": Layout("idNNNNN/VIDEO/*.wav or *.m4a", _is_voxceleb, _read_voxceleb),
    "folders": Layout("SPEAKER/*.wav with an optional *.txt of the same name beside", _is_folders, _read_folders),
}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error


def _read_table(path: Path, separator: str) -> dict[str, str]:
    rows = (line.partition(separator) for line in _lines(path))
    return {key: value.strip() for key, _, value in rows if value.strip()}


def _text_beside(folder: _Folder, stem: str, names: set[str]) -> str | None:
    for suffix in _TEXT_SUFFIXES:
        if stem + suffix in names:
            text = " ".join(line.strip() for line in _lines(folder.file(stem + suffix))).strip()
            if text:
                return text
    return None


def _sex(word: str) -> str | None:
    return {"f": "F", "m": "M"}.get(word.strip().lower()[:1])


def _with_unique_ids(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    """Ids fit for file names; those that several corpora use get the name of their split in front."""
    cleaned = [replace(u, id=_UNSAFE.sub("_", u.id).strip(".") or "clip") for u in utterances]
    counts = Counter(u.id.lower() for u in cleaned)
    taken: set[str] = set()
    for utterance in cleaned:
        name = utterance.id
        if counts[name.lower()] > 1:
            name = _UNSAFE.sub("_", f"{utterance.split}-{name}")
        number, candidate = 2, name
        # Lower case, because file systems of Windows and macOS do not tell A from a.
        while candidate.lower() in taken:
            candidate, number = f"{name}-{number}", number + 1
        taken.add(candidate.lower())
        yield replace(utterance, id=candidate) if candidate != utterance.id else utterance


class Spoken(Protocol):
    """Anything with a speaker and an id: an Utterance or a ManifestEntry."""

    @property
    def speaker(self) -> str: ...

    @property
    def id(self) -> str: ...


SpokenT = TypeVar("SpokenT", bound=Spoken)


def original_voice(speaker: str) -> str:
    """The name of a speaker without what ``synthesizer.preprocess --vary`` adds to a voice at another speed."""
    return _VARIED.sub("", speaker)


def split_speakers(
    utterances: Sequence[SpokenT], validation_fraction: float, seed: int = 0
) -> tuple[list[SpokenT], list[SpokenT]]:
    """Part utterances into training and validation so that no speaker is in both, at whatever speed.

    ``validation_fraction`` of the speakers, at least one, are chosen by a hash of seed and name, so that the
    choice hardly changes when speakers are added. A speaker with an outsized share of the utterances stays in
    training. With a single speaker, that fraction of the utterances is held out instead.

    Raises:
        TrainingError: ``validation_fraction`` is not in [0, 1).
    """
    if not 0 <= validation_fraction < 1:
        raise TrainingError(f"The validation fraction must be in [0, 1), not {validation_fraction}.")
    if validation_fraction == 0 or len(utterances) < 2:
        return list(utterances), []
    counts = Counter(original_voice(u.speaker) for u in utterances)
    by_speaker = len(counts) > 1
    if by_speaker:
        largest = max(validation_fraction, 1.5 / len(counts)) * len(utterances)
        names = [name for name, count in counts.items() if count <= largest]
        wanted = validation_fraction * len(counts)
    else:
        names = [u.id for u in utterances]
        wanted = validation_fraction * len(names)
    names.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    held_out = set(names[: max(1, round(wanted))])
    train: list[SpokenT] = []
    validation: list[SpokenT] = []
    for utterance in utterances:
        key = original_voice(utterance.speaker) if by_speaker else utterance.id
        (validation if key in held_out else train).append(utterance)
    return train, validation
