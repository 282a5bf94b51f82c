"""Voices kept as files, and voices made of other voices; knows embeddings, and no sound, model or window.

A voice is a JSON file of a few kilobytes: whoever has it can speak in it without the clips that it came from.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import ToolboxError

log = logging.getLogger(__name__)

FORMAT = 1
SUFFIX = ".json"
MAX_NAME = 80
MAX_BYTES = 1 << 20
"""A voice has 5 kB; what is a megabyte was not written by this program."""
MAX_DIMENSIONS = 4096
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class VoiceError(ToolboxError):
    """A voice that cannot be read, named or kept."""


class VoiceExistsError(VoiceError):
    """The name is taken."""


@dataclass(frozen=True)
class Consent:
    """Whether the owner of the voice agreed to its use, and when that was noted."""

    agreed: bool = False
    date: str = ""
    """ISO 8601, "" when nobody agreed."""

    @staticmethod
    def given_now() -> Consent:
        """Consent noted today."""
        return Consent(True, _now())


@dataclass(frozen=True)
class Voice:
    """A voice to speak in."""

    name: str
    embed: np.ndarray
    """(256,) float32, unit norm."""
    notes: str = ""
    source: str = ""
    """Where it came from, in words: "3 recordings", "blend of Anna and Ben, 40 %", "random, seed 7"."""
    created: str = ""
    """ISO 8601 with time zone."""
    consent: Consent = field(default_factory=Consent)
    clips: tuple[str, ...] = ()
    """Names of the clips that it is the centroid of."""
    encoder: str = ""
    """"name@sha256" of the encoder: an embedding means nothing to another one."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Voice) and voice_to_dict(self) == voice_to_dict(other)

    def __hash__(self) -> int:
        return hash((self.name, self.embed.tobytes()))

    def fits(self, encoder: str) -> bool:
        """Whether it was made by this encoder ("name@sha256"), as far as both are known."""
        return not self.encoder or not encoder or _hash_of(self.encoder) == _hash_of(encoder)


# The library's own method ``list`` hides the built-in in the annotations of its class.
Voices = list[Voice]


def make_voice(
    name: str,
    embeds: Sequence[np.ndarray] | np.ndarray,
    *,
    notes: str = "",
    source: str = "",
    consent: Consent | None = None,
    clips: Sequence[str] = (),
    encoder: str = "",
) -> Voice:
    """A voice from the embeddings (N, 256) of its clips, each with the same weight, or from one embedding (256,).

    Raises:
        VoiceError: a name that cannot be used, no embedding, or one that is all zeros or not finite.
    """
    rows = np.atleast_2d(np.asarray(embeds, dtype=np.float32))
    if rows.size == 0:
        raise VoiceError("A voice needs at least one clip.")
    source = source or (f"{len(rows)} recordings" if len(rows) > 1 else "1 recording")
    return Voice(
        check_name(name), _unit(rows.mean(axis=0)), notes, source, _now(), consent or Consent(), tuple(clips), encoder
    )


def blend(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Embedding (256,) of unit norm on the great circle from a (t = 0) to b (t = 1), at even steps of angle.

    Values that are not negative stay so, as those of the encoder are.

    Raises:
        VoiceError: embeddings of two sizes, or opposite ones, between which there is no way.
        ValueError: t outside [0, 1].
    """
    if not 0.0 <= t <= 1.0:
        raise ValueError(f"t must lie in [0, 1], not {t}")
    if a.shape != b.shape:
        raise VoiceError("These two voices were made by different encoders and cannot be blended.")
    first, second = _unit(a).astype(np.float64), _unit(b).astype(np.float64)
    angle = math.acos(float(np.clip(first @ second, -1.0, 1.0)))
    if math.pi - angle < 1e-3:
        raise VoiceError("These two voices are opposites: nothing lies between them.")
    if angle < 1e-4:
        return _unit((1 - t) * first + t * second)
    return _unit(math.sin((1 - t) * angle) * first + math.sin(t * angle) * second)


def blend_voices(a: Voice, b: Voice, t: float, name: str = "") -> Voice:
    """The voice between two, which has the consent of its owners only when both agreed.

    Raises VoiceError: see ``blend``; also voices of two encoders of the same size.
    """
    if not a.fits(b.encoder):
        raise VoiceError(f"{a.name} and {b.name} were made by different encoders and cannot be blended.")
    both = a.consent.agreed and b.consent.agreed
    return Voice(
        name=check_name(name or f"{a.name} and {b.name}"[:MAX_NAME]),
        embed=blend(a.embed, b.embed, t),
        source=f"blend of {a.name} and {b.name}, {t:.0%} of the second",
        created=_now(),
        consent=Consent(both, max(a.consent.date, b.consent.date) if both else ""),
        encoder=a.encoder or b.encoder,
    )


def random_voice(cloner: Any, seed: int, name: str = "", encoder: str = "") -> Voice:
    """A voice that nobody has: ``cloner`` is a ``VoiceCloner``, whose ``random_voice`` draws the embedding."""
    return Voice(
        name=check_name(name or f"Random {seed}"),
        embed=_unit(cloner.random_voice(seed)),
        source=f"random, seed {seed}",
        created=_now(),
        consent=Consent.given_now(),
        encoder=encoder,
    )


def voice_to_dict(voice: Voice) -> dict[str, Any]:
    """As JSON holds it."""
    values = {key: value for key, value in vars(voice).items() if key not in ("embed", "consent")}
    return {
        "format": FORMAT,
        **values,
        "clips": list(voice.clips),
        "consent": asdict(voice.consent),
        # Nine digits bring every float32 back exactly.
        "embed": [float(f"{value:.9g}") for value in voice.embed],
    }


def voice_from_dict(data: Any, where: str = "The voice") -> Voice:
    """The inverse of ``voice_to_dict``; ``where`` opens the message.

    Raises VoiceError for anything that such a dict does not hold; unknown keys are left out.
    """
    if not isinstance(data, Mapping) or "embed" not in data or "name" not in data:
        raise VoiceError(f"{where} is no voice of this program: it has no name or no embedding.")
    if data.get("format", FORMAT) != FORMAT:
        raise VoiceError(f"{where} was written by a newer version of the program: update the program to use it.")
    texts = {key: data.get(key, "") for key in ("notes", "source", "created", "encoder")}
    clips, consent = data.get("clips", []), data.get("consent", {})
    if (
        not all(isinstance(text, str) for text in texts.values())
        or not isinstance(clips, list)
        or not all(isinstance(clip, str) for clip in clips)
        or not isinstance(consent, Mapping)
        or not isinstance(data["name"], str)
    ):
        raise VoiceError(f"{where} is damaged: text was expected where there is something else.")
    try:
        embed = np.array([float(value) for value in data["embed"]], dtype=np.float32)
        if not 2 <= len(embed) <= MAX_DIMENSIONS:
            raise ValueError(f"{len(embed)} values")
        embed = _unit(embed)
    except (TypeError, ValueError, OverflowError, VoiceError) as error:
        raise VoiceError(f"{where} is damaged: its embedding cannot be used ({error}).") from error
    agreed = consent.get("agreed") is True
    date = consent.get("date")
    noted = Consent(agreed, date if agreed and isinstance(date, str) else "")
    try:
        name = check_name(data["name"])
    except VoiceError as error:
        raise VoiceError(f"{where} is damaged: its name cannot be used. {error}") from error
    return Voice(name, embed, consent=noted, clips=tuple(clips), **texts)


def check_name(name: str) -> str:
    """The name without spaces around it; VoiceError when it is empty, too long or has control characters."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not name:
        raise VoiceError("A voice needs a name.")
    if len(name) > MAX_NAME:
        raise VoiceError(f"The name is too long: {MAX_NAME} characters are the most.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise VoiceError("The name holds characters that cannot be shown.")
    return name


class VoiceLibrary:
    """The voices in a folder, one file each.

    Names are unique without regard to case. The folder is read anew for each question, so that two windows on
    one folder see each other's voices; it is made when the first voice is saved.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def list(self) -> Voices:
        """The voices that can be read, by name; the log names those that cannot."""
        voices, damaged = self.scan()
        for error in damaged.values():
            log.warning("%s", error)
        return voices

    def scan(self) -> tuple[Voices, dict[Path, VoiceError]]:
        """(voices by name, file -> what is wrong with it). VoiceError when the folder itself cannot be read."""
        found, damaged = self._files()
        return sorted(found.values(), key=lambda voice: voice.name.casefold()), damaged

    def load(self, name: str) -> Voice:
        """The voice of that name. Raises VoiceError when there is none."""
        return self._find(name)[1]

    def save(self, voice: Voice, *, overwrite: bool = False) -> Path:
        """Keep a voice.

        Raises:
            VoiceExistsError: its name is taken, and ``overwrite`` is False.
            VoiceError: it cannot be written.
        """
        voice = replace(voice, name=check_name(voice.name), created=voice.created or _now())
        found, damaged = self._files()
        path = next((path for path, kept in found.items() if _same(kept.name, voice.name)), None)
        if path is not None and not overwrite:
            raise VoiceExistsError(f"There is a voice named {voice.name} already: choose another name or replace it.")
        path = path or self._free_path(voice.name)
        _write(path, voice)
        return path

    def rename(self, name: str, new_name: str) -> Voice:
        """Give a voice another name. Raises VoiceError when there is none, VoiceExistsError when it is taken."""
        path, voice = self._find(name)
        renamed = replace(voice, name=check_name(new_name))
        if not _same(name, renamed.name) and any(_same(kept.name, renamed.name) for kept in self.list()):
            raise VoiceExistsError(f"There is a voice named {renamed.name} already: choose another name.")
        _write(path, renamed)
        return renamed

    def update(self, name: str, *, notes: str | None = None, consent: Consent | None = None) -> Voice:
        """Change what is noted about a voice; None leaves it as it is."""
        path, voice = self._find(name)
        changed = replace(
            voice,
            notes=voice.notes if notes is None else notes,
            consent=voice.consent if consent is None else consent,
        )
        _write(path, changed)
        return changed

    def delete(self, name: str) -> None:
        """Remove a voice for good."""
        path, _ = self._find(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise VoiceError(f"{name} was not deleted: {error.strerror}.") from error

    def export(self, name: str, path: str | Path) -> Path:
        """Write a voice to a file that can be given away (.json is put behind a name without it)."""
        path = Path(path)
        if path.suffix.lower() != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        _write(path, self.load(name), make_folder=False)
        return path

    def import_file(self, path: str | Path) -> Voice:
        """Take a voice out of a file; a name that is taken gets a number. VoiceError: not a voice, or damaged."""
        voice = read_voice(path)
        taken = [kept.name for kept in self.list()]
        name, number = voice.name, 2
        while any(_same(name, kept) for kept in taken):
            name, number = f"{voice.name[: MAX_NAME - 6]} ({number})", number + 1
        voice = replace(voice, name=name)
        self.save(voice)
        return voice

    def _files(self) -> tuple[dict[Path, Voice], dict[Path, VoiceError]]:
        found: dict[Path, Voice] = {}
        damaged: dict[Path, VoiceError] = {}
        try:
            names = sorted(os.listdir(self.folder)) if self.folder.is_dir() else []
        except OSError as error:
            raise VoiceError(f"The folder of voices {self.folder} cannot be read: {error.strerror}.") from error
        for name in names:
            if name.startswith(".") or not name.lower().endswith(SUFFIX):
                continue
            try:
                found[self.folder / name] = read_voice(self.folder / name)
            except VoiceError as error:
                damaged[self.folder / name] = error
        return found, damaged

    def _find(self, name: str) -> tuple[Path, Voice]:
        found, _ = self._files()
        for path, voice in found.items():
            if _same(voice.name, name):
                return path, voice
        raise VoiceError(f"There is no voice named {name}.")

    def _free_path(self, name: str) -> Path:
        stem = re.sub(r"[^\w.-]+", "-", name).strip(".-_")[:40] or "voice"
        if _WINDOWS_DEVICES.fullmatch(stem):
            stem = f"voice-{stem}"
        path, number = self.folder / f"{stem}{SUFFIX}", 2
        while path.exists():
            path, number = self.folder / f"{stem}-{number}{SUFFIX}", number + 1
        return path


def read_voice(path: str | Path) -> Voice:
    """A voice's file. VoiceError: it cannot be read, is damaged, or is no voice."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VoiceError(f"The voice {path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise VoiceError(f"{path} is no voice of this program: it is too big.")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise VoiceError(f"{path} is damaged or no voice: it is not JSON. Import it again or delete it.") from error
    return voice_from_dict(content, str(path))


def _write(path: Path, voice: Voice, *, make_folder: bool = True) -> None:
    from training.files import write_text

    if not make_folder and not path.parent.is_dir():
        raise VoiceError(f"{path} was not written: there is no folder {path.parent}.")
    try:
        write_text(path, json.dumps(voice_to_dict(voice), indent=1) + "\n")
    except OSError as error:
        raise VoiceError(
            f"The voice {voice.name} was not saved in {path.parent} ({error.strerror}): make room or check the folder."
        ) from error


def _unit(embed: np.ndarray) -> np.ndarray:
    embed = np.asarray(embed, dtype=np.float32)
    norm = float(np.linalg.norm(embed.astype(np.float64)))
    if embed.ndim != 1 or not math.isfinite(norm) or norm < 1e-6:
        raise VoiceError("an embedding is a list of finite numbers that are not all zero")
    # What is of unit norm already keeps its bits, so that a voice saved and loaded is the same voice.
    return embed if abs(norm - 1.0) < 1e-6 else (embed / norm).astype(np.float32)


def _same(a: str, b: str) -> bool:
    return " ".join(a.split()).casefold() == " ".join(b.split()).casefold()


def _hash_of(encoder: str) -> str:
    return encoder.rpartition("@")[2]


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
