"""Sound files to mono float32 and back, with their metadata; knows decoders and nothing of speech or models."""

import contextlib
import io
import itertools
import json
import logging
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import (
    AudioAccessError,
    AudioMissingError,
    AudioSaveError,
    EmptyAudioError,
    NonFiniteAudioError,
    NotAudioError,
    TruncatedAudioError,
    UnsupportedAudioError,
)
from audio.signal import check_sample_rate

FloatArray = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

# soundfile reads the first row; PyAV the second, mp3, and whatever soundfile refuses.
AUDIO_SUFFIXES: tuple[str, ...] = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf",
    ".m4a", ".aac", ".mp4", ".mka", ".webm", ".wma", ".amr", ".3gp",
)  # fmt: skip
SAVE_SUFFIXES: tuple[str, ...] = (".wav", ".flac", ".ogg")

MAX_CHANNELS = 64
BLOCK_FRAMES = 1 << 16
# 24 dB above full scale: no decoder overshoots so far, but floats that were written on an integer scale do.
OVERSCALE_PEAK = 16.0

_SUBTYPES = {
    ".wav": ("WAV", ("PCM_16", "PCM_24", "PCM_32", "FLOAT")),
    ".flac": ("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": ("OGG", ("VORBIS",)),
}
_SIGNATURE = re.compile(
    rb"RIFF....WAVE|RF64....WAVE|FORM....AIF[FC]|fLaC|OggS|ID3|\xff[\xe2-\xff]|....ftyp|caff|\x1a\x45\xdf\xa3|#!AMR"
    rb"|\.snd",
    re.DOTALL,
)


# libsndfile stops an mp3 of changing bit rate without a Xing header where the first bit rate would have it end:
# 71 of 120 s in a measured case. FFmpeg reads to the end, and libsndfile gets over damage that FFmpeg does not.
_MPEG_SIGNATURE = re.compile(rb"ID3|\xff[\xe2-\xff]")


class _CannotDecode(Exception):
    """A decoder gives up on a file."""

    opened = False


@dataclass
class _Stream:
    """What a decoder offers: blocks (n, channels) of float32, read as they are asked for."""

    sample_rate: int
    channels: int
    announced_frames: float
    blocks: Iterator[FloatArray]


def load_wav(path: str | Path, sample_rate: int, *, max_seconds: float | None = None) -> FloatArray:
    """Any sound file, at any rate and channel count -> mono float32 (S,) at sample_rate Hz.

    Channels are averaged. Decoding and resampling run block by block, so a long file costs its mono samples at
    sample_rate and one block. A file that ends too early gives the sound it holds, with a warning in the log.

    Raises:
        AudioMissingError, AudioAccessError: no such file, a folder, or no permission.
        NotAudioError: no decoder finds sound in it.
        TruncatedAudioError: it is a sound file, but what should be sound cannot be decoded.
        EmptyAudioError, NonFiniteAudioError: no samples; NaN or infinite samples.
        UnsupportedAudioError: an impossible sample rate or channel count, or too long for the memory.
    """
    path = Path(path)
    check_sample_rate(sample_rate, "The wanted sound")
    head = _read_head(path)
    openers: list[Callable[[Path], AbstractContextManager[_Stream]]] = [_open_soundfile, _open_av]
    if _MPEG_SIGNATURE.match(head):
        openers.reverse()
    failure: _CannotDecode | None = None
    for open_stream in openers:
        try:
            with open_stream(path) as stream:
                wav = _read_mono(path, stream, sample_rate, max_seconds)
        except _CannotDecode as error:
            failure = error
            log.debug("%s cannot read %s: %s", open_stream.__name__, path, error)
            continue
        except MemoryError as error:
            raise UnsupportedAudioError(
                f"{path} is too long for this computer's memory. Cut out the part that is needed."
            ) from error
        if wav.size:
            if failure is not None and failure.opened:
                log.warning("%s is cut off or damaged; %.1f s could be read.", path, wav.size / sample_rate)
            return wav
    if not _SIGNATURE.match(head):
        raise NotAudioError(
            f"No sound was found in {path}. Choose a recording, for example a wav, flac, ogg, mp3 or m4a file."
        ) from failure
    if failure is not None:
        raise TruncatedAudioError(
            f"{path} begins like a sound file but is cut off or damaged ({failure}). Copy or download it again."
        ) from failure
    raise EmptyAudioError(f"{path} is a sound file without any sound in it: record or export it again.")


def _read_head(path: Path) -> bytes:
    """The first bytes of a file that exists and may be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioMissingError(f"{path} is a folder: choose a sound file inside it.")
        if not stat.S_ISREG(mode):
            raise AudioMissingError(f"{path} is a device or a pipe, not a file: save the sound to a file first.")
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError as error:
        raise AudioMissingError(f"There is no file {path}: check the name and the folder.") from error
    except PermissionError as error:
        raise AudioAccessError(
            f"{path} may not be read by this user: change its permissions or copy it elsewhere."
        ) from error
    except (OSError, ValueError) as error:
        raise AudioAccessError(f"{path} cannot be read: {error}.") from error
    if not head:
        raise EmptyAudioError(f"{path} is an empty file of 0 bytes: record, copy or download it again.")
    return head


@contextlib.contextmanager
def _open_soundfile(path: Path) -> Iterator[_Stream]:
    import soundfile

    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:  # TypeError: a headerless .raw file
        raise _CannotDecode(str(error)) from error

    def blocks() -> Iterator[FloatArray]:
        try:
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield block
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise _CannotDecode(str(error)) from error

    with file:
        frames = float(file.frames)
        # libsndfile silently shortens a wav whose data chunk is cut; its log keeps what the header said. Programs
        # that write to a pipe put 2 GB or 4 GB there.
        told = re.search(r"^\s*data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
        if told and int(told[2]) > 0 and int(told[1]) < 0x7FFF0000:
            frames *= int(told[1]) / int(told[2])
        yield _Stream(file.samplerate, file.channels, frames, blocks())


@contextlib.contextmanager
def _open_av(path: Path) -> Iterator[_Stream]:
    import av

    try:
        # The prefix and the whitelist keep a file's name or a playlist's lines from being taken for addresses.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file,crypto,data"})
    except (av.FFmpegError, ValueError) as error:
        raise _CannotDecode(_av_reason(error)) from error
    with container:
        if not container.streams.audio:
            raise _CannotDecode("it has no sound track")
        frames = _av_frames(path, container)
        first = next(frames, None)
        if first is None:
            yield _Stream(BLOCK_FRAMES, 1, 0.0, iter(()))
            return

        def blocks() -> Iterator[FloatArray]:
            resampler = shape = None
            for frame in itertools.chain([first], frames):
                # Some streams change their shape on the way; a resampler accepts one shape only.
                if resampler is None or shape != (frame.format.name, frame.layout.name, frame.sample_rate):
                    shape = (frame.format.name, frame.layout.name, frame.sample_rate)
                    resampler = av.AudioResampler("fltp", first.layout, first.sample_rate)
                for planar in resampler.resample(frame):
                    yield np.asarray(planar.to_ndarray().T, dtype=np.float32)

        track = container.streams.audio[0]
        announced = 0.0
        if container.format.name == "mp3" and track.duration and track.time_base:
            announced = float(track.duration * track.time_base)
        yield _Stream(first.sample_rate, first.layout.nb_channels, announced * first.sample_rate, blocks())


def _av_frames(path: Path, container: Any) -> Iterator[Any]:
    """Decoded frames; a damaged last packet, as in a file that is cut off, is dropped; an earlier one is an error."""
    import av

    damage: Exception | None = None
    try:
        for packet in container.demux(audio=0):
            if damage is not None and packet.size:
                raise damage
            try:
                yield from packet.decode()
            except av.error.InvalidDataError as error:
                damage = error
        if damage is not None:
            log.warning("%s seems to be cut off: its last packet is incomplete and left out.", path)
    except (av.FFmpegError, ValueError) as error:
        raise _CannotDecode(_av_reason(error)) from error


def _av_reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _read_mono(path: Path, stream: _Stream, sample_rate: int, max_seconds: float | None) -> FloatArray:
    check_sample_rate(stream.sample_rate, str(path))
    if not 1 <= stream.channels <= MAX_CHANNELS:
        raise UnsupportedAudioError(
            f"{path} has {stream.channels} channels; up to {MAX_CHANNELS} can be read. Export it in mono or stereo."
        )
    import soxr

    resampler = None
    if stream.sample_rate != sample_rate:
        resampler = soxr.ResampleStream(stream.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
    limit = None if max_seconds is None else max(1, round(max_seconds * sample_rate))
    samples = _GrowingArray(int(min(stream.announced_frames * sample_rate / stream.sample_rate, 2**26)))
    read, whole = 0, True
    try:
        for block in stream.blocks:
            mono = block.mean(axis=1, dtype=np.float32) if stream.channels > 1 else block[:, 0]
            if not np.isfinite(mono).all():
                raise NonFiniteAudioError(
                    f"{path} holds samples that are not numbers or are infinite, about "
                    f"{read / stream.sample_rate:.1f} s from its start: export it again from where it was made."
                )
            read += len(mono)
            samples.append(mono if resampler is None else resampler.resample_chunk(mono))
            if limit is not None and samples.size >= limit:
                whole = False
                break
    except _CannotDecode as error:
        failure = _CannotDecode(f"after {read / stream.sample_rate:.1f} s: {error}")
        failure.opened = True
        raise failure from error
    if resampler is not None and whole and read:
        samples.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    if whole and 0 < read < 0.9 * stream.announced_frames:
        log.warning(
            "%s seems to be cut off: it announces %.1f s and holds %.1f s, which are used.",
            path, stream.announced_frames / stream.sample_rate, read / stream.sample_rate,
        )  # fmt: skip
    return _to_full_scale(path, samples.array()[:limit])


def _to_full_scale(path: Path, wav: FloatArray) -> FloatArray:
    peak = max(float(wav.max(initial=0.0)), -float(wav.min(initial=0.0)))
    if peak > OVERSCALE_PEAK:
        log.warning("%s has samples up to %.3g where 1 is full scale; it is scaled down.", path, peak)
        wav *= 1.0 / peak
    return wav


class _GrowingArray:
    """Samples appended in place: joining a list of blocks at the end would hold them twice."""

    def __init__(self, capacity: int) -> None:
        self._buffer = np.empty(max(capacity, BLOCK_FRAMES), dtype=np.float32)
        self.size = 0

    def append(self, block: FloatArray) -> None:
        end = self.size + len(block)
        if end > len(self._buffer):
            self._buffer.resize(max(end, len(self._buffer) * 5 // 4), refcheck=False)
        self._buffer[self.size : end] = block
        self.size = end

    def array(self) -> FloatArray:
        self._buffer.resize(self.size, refcheck=False)
        return self._buffer


def save_wav(
    path: str | Path,
    wav: npt.NDArray[Any],
    sample_rate: int,
    *,
    subtype: str = "PCM_16",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write mono wav (S,) of floats in [-1, 1] as .wav, .flac or .ogg, with metadata that `read_metadata` returns.

    subtype: PCM_16, PCM_24, PCM_32 or FLOAT for .wav, PCM_16 or PCM_24 for .flac; .ogg is Vorbis whatever it says.
    Samples outside [-1, 1] are clipped with a warning, except with FLOAT. The file appears whole or not at all.

    Raises:
        UnsupportedAudioError: unknown suffix, or a subtype or rate that the format cannot hold.
        EmptyAudioError, NonFiniteAudioError: nothing to write; NaN or infinite samples.
        AudioSaveError: no folder, no permission, disk full; an older file at the path is untouched.
    """
    path = Path(path)
    wav = np.asarray(wav)
    if wav.ndim != 1 or not np.issubdtype(wav.dtype, np.floating):
        raise ValueError(f"wav must be floats of shape (S,), not {wav.dtype} of shape {wav.shape}")
    suffix = path.suffix.lower()
    if suffix not in _SUBTYPES:
        raise UnsupportedAudioError(
            f"Sound cannot be saved as '{path.name}': end the name in {', '.join(SAVE_SUFFIXES)}."
        )
    if suffix == ".ogg":
        subtype = "VORBIS"
    if subtype not in _SUBTYPES[suffix][1]:
        raise UnsupportedAudioError(f"A {suffix} file holds {', '.join(_SUBTYPES[suffix][1])}, not {subtype}.")
    check_sample_rate(sample_rate, "The sound to save")
    if wav.size == 0:
        raise EmptyAudioError(f"There is no sound to save in {path}: it has no samples.")
    if not np.isfinite(wav).all():
        raise NonFiniteAudioError(f"{path} was not written: the sound holds values that are not numbers.")
    peak = float(np.abs(wav).max())
    if peak > 1.0 and subtype != "FLOAT":
        beyond = int((np.abs(wav) > 1.0).sum())
        log.warning("%s: %d samples beyond full scale (peak %.2f) are clipped.", path, beyond, peak)
        wav = np.clip(wav, -1.0, 1.0)
    _replace_file(path, _encode(wav, sample_rate, suffix, subtype, dict(metadata or {})))


def _encode(wav: npt.NDArray[Any], sample_rate: int, suffix: str, subtype: str, metadata: dict[str, str]) -> bytes:
    import soundfile

    tags = _tags(metadata)
    encoded = io.BytesIO()
    try:
        kind = _SUBTYPES[suffix][0]
        with soundfile.SoundFile(encoded, "w", sample_rate, 1, format=kind, subtype=subtype) as file:
            if suffix != ".wav":
                for name, value in tags.items():
                    setattr(file, name, value)
            # libsndfile's Vorbis encoder overflows the stack when a long sound comes in one piece.
            for start in range(0, len(wav), BLOCK_FRAMES):
                file.write(np.ascontiguousarray(wav[start : start + BLOCK_FRAMES], dtype=np.float32))
    except soundfile.SoundFileError as error:
        raise UnsupportedAudioError(f"{suffix} cannot hold {subtype} at {sample_rate} Hz: {error}") from error
    data = encoded.getvalue()
    return _with_riff_info(data, tags) if suffix == ".wav" and tags else data


def _replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name[-100:]}.{os.getpid()}.part")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileNotFoundError as error:
        raise AudioSaveError(f"{path} was not written: there is no folder {path.parent}. Make it first.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioSaveError(
            f"{path} was not written ({reason}). Choose another folder or make room; what was there is untouched."
        ) from error


# The comment carries everything as JSON in ASCII, which survives programs that guess the encoding of RIFF tags; the
# fields that tags have names for are repeated under those names, for people who look with other programs.
_INFO_NAMES = {"title": b"INAM", "artist": b"IART", "copyright": b"ICOP", "date": b"ICRD", "comment": b"ICMT"}
_INFO_FIELDS = {code: name for name, code in _INFO_NAMES.items()} | {b"ISFT": "software", b"IGNR": "genre"}
_MAX_TAG_BYTES = 1 << 24


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    if not metadata:
        return {}
    tags = {name: metadata[name] for name in _INFO_NAMES if name != "comment" and metadata.get(name)}
    tags = {name: value.replace("\0", " ").encode("utf-8", "replace").decode() for name, value in tags.items()}
    return tags | {"comment": json.dumps(metadata)}


def _with_riff_info(data: bytes, tags: Mapping[str, str]) -> bytes:
    """Append a LIST INFO chunk. libsndfile's own loses texts beyond 2,048 bytes when it reads them back."""
    fields = b"".join(_riff_chunk(_INFO_NAMES[name], value.encode() + b"\0") for name, value in tags.items())
    data += b"\0" * (len(data) % 2) + _riff_chunk(b"LIST", b"INFO" + fields)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _riff_chunk(code: bytes, body: bytes) -> bytes:
    return code + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def read_metadata(path: str | Path) -> dict[str, str]:
    """What `save_wav` was given as metadata; for files of other programs the tags found (title, artist, ...).

    Raises AudioMissingError, AudioAccessError, EmptyAudioError or NotAudioError.
    """
    path = Path(path)
    head = _read_head(path)
    tags = _read_riff_tags(path) if head[:4] == b"RIFF" else _read_other_tags(path)
    try:
        own = json.loads(tags.get("comment", ""))
    except ValueError:
        return tags
    if isinstance(own, dict) and all(isinstance(value, str) for value in own.values()):
        return own
    return tags


def _read_riff_tags(path: Path) -> dict[str, str]:
    tags: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            code, size = header[:4], struct.unpack("<I", header[4:])[0]
            following = file.tell() + size + size % 2
            if code == b"LIST" and 4 <= size <= _MAX_TAG_BYTES and file.read(4) == b"INFO":
                tags |= _info_fields(file.read(size - 4))
            file.seek(following)
    return tags


def _info_fields(body: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while at + 8 <= len(body):
        code, size = body[at : at + 4], struct.unpack("<I", body[at + 4 : at + 8])[0]
        if code in _INFO_FIELDS:
            text = body[at + 8 : at + 8 + size].split(b"\0", 1)[0]
            fields[_INFO_FIELDS[code]] = text.decode("utf-8", "replace")
        at += 8 + size + size % 2
    return fields


def _read_other_tags(path: Path) -> dict[str, str]:
    import av
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            return {name: value for name, value in file.copy_metadata().items() if value}
    except (soundfile.SoundFileError, TypeError, RuntimeError):
        pass
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file,crypto,data"}) as container:
            return {str(name).lower(): str(value) for name, value in container.metadata.items()}
    except (av.FFmpegError, ValueError) as error:
        raise NotAudioError(f"No sound was found in {path}: {_av_reason(error)}.") from error
