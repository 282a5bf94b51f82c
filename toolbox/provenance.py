"""What a generated file says of itself; knows the words of the mark, not how a format stores them.

The mark is one JSON object in the file's comment, so that it survives wav, flac and ogg alike and stays
readable in
any player: ``{"synthetic": "yes", "program": ..., "models": {...}, "seed": ..., "voice": ..., "text": ...}``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from toolbox import __version__

PROGRAM = f"voice-cloning-toolbox {__version__}"
HASH_DIGITS = 16
"""64 bits of a SHA-256: no two files meet by chance, and the mark stays short."""
MAX_TEXT = 4000
"""Characters of text kept in the mark: a RIFF comment of a whole book would be longer than its sound's
header."""


@dataclass(frozen=True)
class ModelInfo:
    """A model that took part: its name in the registry and the start of its file's SHA-256 ("" when it has no
    file)."""

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
    program: str = PROGRAM

    def metadata(self) -> dict[str, str]:
        """Tags for ``audio.io.save_wav``."""
        mark = {"synthetic": "yes", **asdict(self), "models": dict(self.models), "text": self.text[:MAX_TEXT]}
        return {
            "software": self.program,
            "comment": json.dumps(mark, ensure_ascii=False),
            "title": "Synthetic speech",
        }


def provenance_of(models: Sequence[ModelInfo], *, text: str, seed: int, voice: str) -> Provenance:
    """The mark of a result."""
    return Provenance(text=text, seed=seed, models={m.kind: str(m) for m in models}, voice=voice)


def parse_metadata(metadata: Mapping[str, str]) -> Provenance | None:
    """The mark in a file's tags; None when the file carries none (which proves nothing: tags are easily
    removed)."""
    comment = {key.lower(): value for key, value in metadata.items()}.get("comment", "")
    try:
        mark = json.loads(comment)
        if mark.get("synthetic") != "yes":
            return None
        return Provenance(
            text=str(mark["text"]),
            seed=int(mark["seed"]),
            models={str(kind): str(name) for kind, name in mark["models"].items()},
            voice=str(mark["voice"]),
            program=str(mark["program"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def same_request(
    mark: Provenance, *, text: str, voice: str, seed: int | None, models: Mapping[str, str]
) -> bool:
    """Whether a file with this mark is what the request asks for (any seed when none is asked for)."""
    return (
        mark.text == text[:MAX_TEXT]
        and mark.voice == voice
        and (seed is None or mark.seed == seed)
        and dict(mark.models) == dict(models)
    )


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
