"""Speech of a free text-to-speech program in many made-up voices, as a folder-per-speaker corpus; trains nothing.

``python -m training.synthetic_speakers OUT --texts CORPUS`` reads the sentences of a corpus aloud with Debian's
``flite``. Clear, evenly paced words of synthetic speakers help a synthesizer whose real speakers are few or accented.
A voice is also played faster and slower, which moves pitch and formants together as vocal tracts of other lengths do.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audio.errors import TrainingError
from audio.io import load_wav, save_wav
from audio.signal import resample
from training.cli import add_verbose_argument, run_command
from training.corpus import find_utterances
from training.parallel import run_parallel

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
VOICES = {"slt": "F", "rms": "M", "awb": "M", "kal16": "M"}
FACTORS = (0.86, 1.0, 1.14)


@dataclass(frozen=True)
class _Job:
    voice: str
    factor: float
    number: int
    text: str

    @property
    def speaker(self) -> str:
        return f"{self.voice}-{round(100 * self.factor)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic_speakers", description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the new corpus")
    parser.add_argument("--texts", type=Path, required=True, help="corpus whose sentences are read")
    parser.add_argument("--sentences", type=int, default=200, help="per speaker (default 200)")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    parser.add_argument("--seed", type=int, default=0)
    add_verbose_argument(parser)
    args = parser.parse_args(argv)
    return run_command(
        lambda: make_corpus(args.out, args.texts, args.sentences, args.n_processes, args.seed), args.verbose
    )


def make_corpus(out: Path, texts: Path, sentences: int, processes: int = 0, seed: int = 0) -> None:
    """Write ``out/<speaker>/<number>.flac`` and ``.txt``; what exists already is kept."""
    if shutil.which("flite") is None:
        raise TrainingError("The program flite is missing. On Debian and Ubuntu: apt install flite")
    lines = sorted({u.text.lower() for u in find_utterances(texts) if u.text and 3 <= len(u.text.split()) <= 16})
    if not lines:
        raise TrainingError(f"{texts} has no transcribed sentences of 3 to 16 words to read.")
    rng = random.Random(seed)
    jobs = [
        _Job(voice, factor, number, text)
        for voice in VOICES
        for factor in FACTORS
        for number, text in enumerate(rng.sample(lines, min(sentences, len(lines))))
    ]
    outcomes = list(run_parallel(partial(_speak, out), jobs, processes))
    failed = [o for o in outcomes if o.error is not None]
    for outcome in failed[:5]:
        logger.warning("%s: %s", outcome.item.text, outcome.error)
    speakers = len(VOICES) * len(FACTORS)
    logger.info("%d sentences by %d speakers, %d failed.", len(jobs) - len(failed), speakers, len(failed))


def _speak(out: Path, job: _Job) -> None:
    folder = out / job.speaker
    target = folder / f"{job.speaker}-{job.number:04d}.flac"
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "spoken.wav"
        subprocess.run(
            ["flite", "-voice", job.voice, "-t", job.text, "-o", str(spoken)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        wav = load_wav(spoken, SAMPLE_RATE)
    target.with_suffix(".txt").write_text(job.text + "\n", encoding="utf-8")
    save_wav(target, resample(wav, round(SAMPLE_RATE * job.factor), SAMPLE_RATE), SAMPLE_RATE)


if __name__ == "__main__":
    sys.exit(main())
