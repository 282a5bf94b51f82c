"""Where people's voices lie among all embeddings, and voices drawn from there; knows no models and no window.

SV2TTS (Jia et al. 2018, section 3.2) draws voices of nobody uniformly from the sphere. Real embeddings fill a small
part of it, and a synthesizer knows no other: their mean and principal axes, from many speakers, say which.

``python -m toolbox.voice_space DATA ENCODER`` writes them from a folder that synthesizer.preprocess made.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE = Path(__file__).resolve().parent / "assets" / "voices.npz"
AXES = 48
SPREAD = 1.3
"""Of what is drawn along the axes: makes up for those left out, so that drawn voices differ as much as people's."""
CLIPS = 6
"""Of each speaker, at most."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VoiceSpace:
    """A normal distribution of the embeddings of one encoder."""

    encoder: str
    """Digits of the SHA-256 of its file, see ``toolbox.provenance.file_sha256``."""
    mean: FloatArray
    """(E,)"""
    axes: FloatArray
    """(K, E), orthonormal."""
    deviations: FloatArray
    """(K,)"""

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Embedding (E,) of unit norm without negative values, as they come out of the encoder's ReLU."""
        along = SPREAD * self.deviations * rng.standard_normal(len(self.axes))
        return unit(np.maximum(self.mean + along @ self.axes, 0.0))


def uniform(size: int, rng: np.random.Generator) -> FloatArray:
    """Embedding (size,) from the part of the sphere without negative values: a normal vector, cut at zero and
    normalised, has like real ones about half of its values at zero.
    """
    return unit(np.maximum(rng.standard_normal(size), 0.0))


def unit(embed: npt.NDArray) -> FloatArray:
    """``embed`` at unit norm."""
    return (embed / np.linalg.norm(embed)).astype(np.float32)


def fit(voices: Sequence[FloatArray], encoder: str) -> VoiceSpace:
    """The distribution of ``voices``, (E,) of unit norm each."""
    stacked = np.stack(voices)
    mean = stacked.mean(axis=0)
    _, sizes, axes = np.linalg.svd(stacked - mean, full_matrices=False)
    return VoiceSpace(encoder, mean, axes[:AXES], sizes[:AXES] / np.sqrt(max(1, len(stacked) - 1)))


@lru_cache(maxsize=1)
def voice_space() -> VoiceSpace:
    """The one that comes with the program."""
    with np.load(FILE, allow_pickle=False) as file:
        arrays = [file[name].astype(np.float32) for name in ("mean", "axes", "deviations")]
        return VoiceSpace(str(file["encoder"]), *arrays)


def save(space: VoiceSpace, path: Path = FILE) -> None:
    """Write ``space``, its arrays as float16."""
    arrays = {name: value for name, value in vars(space).items() if name != "encoder"}
    np.savez(path, encoder=np.array(space.encoder), **{n: v.astype(np.float16) for n, v in arrays.items()})


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m toolbox.voice_space", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path, help="folder that synthesizer.preprocess wrote")
    parser.add_argument("encoder", type=Path, help="the encoder's file")
    parser.add_argument("--leave_out", action="append", default=[], metavar="SPLIT", help="made-up voices; repeatable")
    args = parser.parse_args(argv)
    from encoder.inference import normalized_mean
    from toolbox.provenance import file_sha256
    from training.cli import run_command
    from training.corpus import original_voice, read_manifest
    from training.holdout import trainable

    def command() -> None:
        clips = defaultdict(list)
        for entry in trainable(read_manifest(args.data_root)):
            if entry.split not in args.leave_out and original_voice(entry.speaker) == entry.speaker:
                clips[entry.split, entry.speaker].append(args.data_root / "embeds" / f"{entry.id}.npy")
        voices = [normalized_mean(np.stack([np.load(path) for path in paths[:CLIPS]])) for paths in clips.values()]
        save(fit(voices, file_sha256(args.encoder)))
        print(f"{FILE.name}: {len(voices)} voices")

    return run_command(command, False)


if __name__ == "__main__":
    sys.exit(main())
