"""Browses folders of recordings as dataset, speaker, utterance; knows names of files, and nothing of what is in them.

Each level is listed when it is asked for and then kept: opening a corpus of 1,000 speakers and 100,000 files reads
one folder of names per level, not the files.
"""

from __future__ import annotations

import logging
import os
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio.errors import ToolboxError
from audio.io import AUDIO_SUFFIXES

Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)

MAX_DEPTH = 5
"""Levels of folders above the speakers, and below a speaker: VoxCeleb2/dev/aac/SPEAKER/VIDEO/ has three and one."""
MAX_FOLDERS = 3000
"""Folders read at most in the search for datasets, and for one speaker: somebody will choose a home folder."""
PROBES = 4
"""Of the first and of the last sub-folders so many are looked into to learn what a folder is."""
_DIGITS = re.compile(r"\d+")
_VOXCELEB = re.compile(r"id\d{5}")
_SECOND_MICROPHONE = re.compile(r"_mic2\.\w+$")


class LibraryError(ToolboxError):
    """A folder in which there is nothing to browse."""


@dataclass(frozen=True)
class Clip:
    """An utterance on disk."""

    dataset: str
    speaker: str
    name: str
    """Path below the speaker's folder, with forward slashes."""
    path: Path


@dataclass(frozen=True)
class _Names:
    """What a folder holds, without hidden entries; naturally sorted."""

    folders: tuple[str, ...]
    clips: tuple[str, ...]
    has_metadata: bool
    """A metadata.csv, the mark of LJSpeech."""

    @property
    def probes(self) -> tuple[str, ...]:
        """Sub-folders that tell what this folder is."""
        return tuple(dict.fromkeys((*self.folders[:PROBES], *self.folders[-PROBES:])))


@dataclass(frozen=True)
class _Dataset:
    folder: Path
    """Its sub-folders are the speakers; the only speaker's own folder when ``single``."""
    single: bool = False


class CorpusIndex:
    """The recordings below a folder, level by level.

    The folder may be a collection of corpora, a corpus, one of its splits, or hold nothing but clips. Recognised
    are LibriSpeech and LibriTTS, LJSpeech, VCTK, VoxCeleb, and folders of speakers in general; what a folder is, is
    told from its own names and a few of its sub-folders.

    Methods may take a while on a slow disk and belong in a worker; ``progress(folders read, 0)`` is called for each
    folder and may raise ``Cancelled``. The object may be shared between threads.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        self.folders_read = 0
        """Directories listed so far: the work that browsing costs."""
        self._limit = MAX_FOLDERS
        self._lock = threading.RLock()
        self._datasets: dict[str, _Dataset] | None = None
        self._speakers: dict[str, list[str]] = {}
        self._clips: dict[tuple[str, str], list[Clip]] = {}

    def refresh(self) -> None:
        """Forget what was listed, as files may have come or gone."""
        with self._lock:
            self._datasets = None
            self._speakers.clear()
            self._clips.clear()

    def datasets(self, progress: Progress | None = None) -> list[str]:
        """Names of the datasets: paths below the root, or the root's own name.

        Raises:
            LibraryError: the root is no folder, or there are no recordings in it.
        """
        return list(self._known_datasets(progress))

    def speakers(self, dataset: str, progress: Progress | None = None) -> list[str]:
        """Names of the speakers of a dataset: one folder is read, whatever their number.

        Raises LibraryError when there is no such dataset.
        """
        with self._lock:
            if dataset not in self._speakers:
                known = self._known_datasets(progress)
                if dataset not in known:
                    raise LibraryError(f"There is no dataset {dataset} in {self.root}.")
                entry = known[dataset]
                single = [entry.folder.parent.name if entry.folder.name == "wavs" else entry.folder.name]
                found = single if entry.single else list(self._read(entry.folder, progress).folders)
                self._speakers[dataset] = found
            return list(self._speakers[dataset])

    def utterances(self, dataset: str, speaker: str, progress: Progress | None = None) -> list[Clip]:
        """Clips of a speaker, those in sub-folders included; only the speaker's folders are read.

        Raises LibraryError when there is no such speaker.
        """
        with self._lock:
            key = (dataset, speaker)
            if key not in self._clips:
                if speaker not in self.speakers(dataset, progress):
                    raise LibraryError(f"There is no speaker {speaker} in {dataset}.")
                entry = self._known_datasets(progress)[dataset]
                folder = entry.folder if entry.single else entry.folder / speaker
                self._limit = self.folders_read + MAX_FOLDERS
                names = self._clips_below(folder, "", MAX_DEPTH if entry.single else 0, progress)
                self._clips[key] = [Clip(dataset, speaker, name, folder / name) for name in names]
            return list(self._clips[key])

    def random_clip(
        self,
        rng: random.Random,
        dataset: str | None = None,
        speaker: str | None = None,
        progress: Progress | None = None,
    ) -> Clip:
        """A clip drawn at random; what is named stays, and each level above is drawn evenly.

        Speakers without clips are passed over. Raises LibraryError when nothing is left to draw from.
        """
        datasets = [dataset] if dataset is not None else self.datasets(progress)
        for name in _shuffled(datasets, rng):
            for one in [speaker] if speaker is not None else _shuffled(self.speakers(name, progress), rng):
                if clips := self.utterances(name, one, progress):
                    return rng.choice(clips)
        where = " of ".join(part for part in (speaker, dataset) if part) or str(self.root)
        raise LibraryError(f"No recordings were found in {where}.")

    def next_clip(self, clip: Clip) -> Clip:
        """The clip after this one of the same speaker, which need not exist any more; the first after the last."""
        clips = self.utterances(clip.dataset, clip.speaker)
        if not clips:
            raise LibraryError(f"No recordings were found in {clip.speaker} of {clip.dataset}.")
        index = next((index for index, other in enumerate(clips) if other.name == clip.name), None)
        if index is None:
            # Names in sub-folders come after all others, so this is where the clip was, or before it.
            after = (index for index, other in enumerate(clips) if natural_key(other.name) > natural_key(clip.name))
            index = next(after, 0) - 1
        return clips[(index + 1) % len(clips)]

    # --- reading folders

    def _known_datasets(self, progress: Progress | None) -> dict[str, _Dataset]:
        with self._lock:
            if self._datasets is None:
                if not self.root.is_dir():
                    raise LibraryError(f"{self.root} is not a folder: choose the folder that holds the recordings.")
                self._limit = self.folders_read + MAX_FOLDERS
                found = dict(self._search(self.root, 0, progress))
                if self.folders_read >= self._limit:
                    log.warning("%s holds too many folders; %d were searched for recordings.", self.root, MAX_FOLDERS)
                if not found:
                    kinds = " ".join(AUDIO_SUFFIXES)
                    raise LibraryError(
                        f"No recordings were found in {self.root}: choose a folder that has a sub-folder of clips "
                        f"({kinds}) for each speaker, or one that holds such folders."
                    )
                self._datasets = dict(sorted(found.items(), key=lambda item: natural_key(item[0])))
            return self._datasets

    def _search(self, folder: Path, depth: int, progress: Progress | None) -> Iterator[tuple[str, _Dataset]]:
        """Datasets at or below a folder."""
        names = self._read(folder, progress)
        found = self._recognise(folder, names, progress)
        if found is not None:
            yield self._name(folder), found
            return
        if names.clips:
            # Loose clips beside corpora are one more voice.
            yield self._name(folder), _Dataset(folder, single=True)
        if depth < MAX_DEPTH:
            for name in names.folders:
                if self.folders_read >= self._limit:
                    return
                yield from self._search(folder / name, depth + 1, progress)

    def _recognise(self, folder: Path, names: _Names, progress: Progress | None) -> _Dataset | None:
        """What kind of dataset a folder is, or None when it is none itself."""
        if not names.folders:
            return _Dataset(folder, single=True) if names.clips else None
        below = {name: self._read(folder / name, progress) for name in names.probes}
        corpus = self._recognise_corpus(folder, names, below)
        if corpus is not None or not any(sub.clips for sub in below.values()):
            return corpus
        # A folder of clips is a speaker beside other such folders; beside corpora it is a dataset like they are.
        return None if self._holds_corpora(folder, below, progress) else _Dataset(folder)

    @staticmethod
    def _recognise_corpus(folder: Path, names: _Names, below: Mapping[str, _Names]) -> _Dataset | None:
        """The layouts that tell themselves by their names."""
        if names.has_metadata and "wavs" in names.folders:
            return _Dataset(folder / "wavs", single=True)
        recordings = next((name for name in names.folders if name.startswith("wav48")), None)
        if recordings is not None:
            return _Dataset(folder / recordings)
        if any(_VOXCELEB.fullmatch(name) for name in names.folders):
            return _Dataset(folder)
        # LibriSpeech: speakers and their chapters are both named by numbers.
        numbered = (sub for name, sub in below.items() if _DIGITS.fullmatch(name))
        if any(sub.folders and _DIGITS.fullmatch(sub.folders[0]) for sub in numbered):
            return _Dataset(folder)
        return None

    def _holds_corpora(self, folder: Path, below: Mapping[str, _Names], progress: Progress | None) -> bool:
        """Whether some of the sub-folders, or of theirs, are corpora."""
        for name, names in below.items():
            deeper = {sub: self._read(folder / name / sub, progress) for sub in names.probes}
            if self._recognise_corpus(folder / name, names, deeper) is not None:
                return True
            for sub, inner in deeper.items():
                chapters = {one: self._read(folder / name / sub / one, progress) for one in inner.probes}
                if self._recognise_corpus(folder / name / sub, inner, chapters) is not None:
                    return True
        return False

    def _name(self, folder: Path) -> str:
        if folder == self.root:
            return folder.resolve().name or str(folder)
        return folder.relative_to(self.root).as_posix()

    def _clips_below(self, folder: Path, prefix: str, depth: int, progress: Progress | None) -> list[str]:
        names = self._read(folder, progress)
        found = [prefix + name for name in names.clips if not _SECOND_MICROPHONE.search(name)]
        if depth < MAX_DEPTH:
            for name in names.folders:
                if self.folders_read >= self._limit:
                    log.warning("%s holds too many folders; %d of them were read.", folder, MAX_FOLDERS)
                    break
                found += self._clips_below(folder / name, f"{prefix}{name}/", depth + 1, progress)
        return found

    def _read(self, folder: Path, progress: Progress | None) -> _Names:
        self.folders_read += 1
        if progress is not None:
            progress(self.folders_read, 0)
        folders: list[str] = []
        clips: list[str] = []
        has_metadata = False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        folders.append(entry.name)
                    elif entry.name.lower().endswith(AUDIO_SUFFIXES):
                        clips.append(entry.name)
                    elif entry.name == "metadata.csv":
                        has_metadata = True
        except OSError as error:
            log.warning("%s cannot be read and is left out: %s", folder, error.strerror)
        folders.sort(key=natural_key)
        clips.sort(key=natural_key)
        return _Names(tuple(folders), tuple(clips), has_metadata)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that cannot be followed is no reason to lose the rest of the folder.
        return False


def natural_key(name: str) -> str:
    """Sorts p9 before p10, and without regard to case. A string, as 100,000 of these are to be compared."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(12), name.casefold())


def filter_names(names: Sequence[str], typed: str) -> list[str]:
    """Names that hold every typed word, without regard to case; those that begin with what was typed come first."""
    words = typed.casefold().split()
    if not words:
        return list(names)
    whole = " ".join(words)
    first: list[str] = []
    rest: list[str] = []
    for name in names:
        folded = name.casefold()
        if all(word in folded for word in words):
            (first if folded.startswith(whole) else rest).append(name)
    return first + rest


def _shuffled(names: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(list(names), len(names))
