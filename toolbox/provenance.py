"""What a generated file says of itself; knows the words of the mark, not how a format stores them.

The mark is a set of tags (``synthetic: yes``, program, models, seed, voice, text) that ``audio.io.save_wav`` writes
into wav, flac and ogg files alike.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolbox import __version__

PROGRAM = f"voice-cloning-toolbox {__version__}"
KINDS = ("encoder", "synthesizer", "vocoder")
HASH_DIGITS = 16
"""64 bits of a SHA-256: no two files meet by chance, and the mark stays short."""


@dataclass(frozen=True)
class ModelInfo:
    """A model that took part; ``sha256`` is the start of its file's SHA-256, "" when it has no file."""

    kind: str
    name: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.sha256}" if self.sha256 else self.name


@dataclass(frozen=True)
class Provenance:
    """Everything that is needed to make the same samples again, apart from the reference clip itself."""

    text: str
    seed: int
    models: Mapping[str, str]
    """kind -> "name@sha256"."""
    voice: str
    """Start of the SHA-256 of the reference: tells two voices apart and names nobody."""
    trim_silences: bool = False
    retakes: tuple[tuple[int, int], ...] = ()
    """(index, seed) of each segment that was said again: spoken and vocoded alone, with that seed."""
    speed: float = 1.0
    """As a multiple of the usual one."""
    program: str = PROGRAM

    def metadata(self) -> dict[str, str]:
        """Tags for ``audio.io.save_wav``."""
        models = {kind: name for kind, name in self.models.items() if kind in KINDS}
        retakes = " ".join(f"{index + 1}:{seed}" for index, seed in self.retakes)
        return {
            "title": "Synthetic speech",
            "synthetic": "yes",
            "program": self.program,
            "seed": str(self.seed),
            "voice": self.voice,
            "text": self.text,
            "trim_silences": "yes" if self.trim_silences else "no",
            **({"retakes": retakes} if retakes else {}),
            **({"speed": str(self.speed)} if self.speed != 1.0 else {}),
            **models,
        }


def parse_metadata(metadata: Mapping[str, str]) -> Provenance | None:
    """The mark in a file's tags, or None. None proves nothing: tags are easily removed."""
    try:
        if metadata["synthetic"] != "yes":
            return None
        return Provenance(
            text=metadata["text"],
            seed=int(metadata["seed"]),
            models={kind: metadata[kind] for kind in KINDS},
            voice=metadata["voice"],
            trim_silences=metadata.get("trim_silences") == "yes",
            retakes=tuple(_retake(word) for word in metadata.get("retakes", "").split()),
            speed=float(metadata.get("speed", 1.0)),
            program=metadata["program"],
        )
    except (ValueError, KeyError):
        return None


def _retake(word: str) -> tuple[int, int]:
    number, _, seed = word.partition(":")
    return int(number) - 1, int(seed)


def file_sha256(path: Path) -> str:
    """Start of the SHA-256 of a file, read in blocks. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:HASH_DIGITS]


def voice_id(reference: object) -> str:
    """Start of the SHA-256 of a reference: of a file's bytes, an array's, or of all of a list's, in any
    order.

    Raises OSError for a file that cannot be read.
    """
    if isinstance(reference, str | Path):
        return file_sha256(Path(reference))
    if isinstance(reference, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(reference,
        dtype=np.float32).tobytes()).hexdigest()[:HASH_DIGITS]
    if isinstance(reference, Sequence):
        parts = sorted(voice_id(part) for part in reference)
        if len(parts) == 1:
            return parts[0]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:HASH_DIGITS]
    raise TypeError(f"a reference is a path, an array or a list of them, not {type(reference).__name__}")
