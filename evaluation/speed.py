"""Speed of each stage and the memory of the whole program, in a process of its own; knows no quality.

``python -m evaluation.speed ENCODER SYNTHESIZER VOCODER`` (names or paths) prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from evaluation.cache import Value
from evaluation.installed import Model
from models.environment import prepare_environment

TEXT = "The old captain found the letter in the kitchen, because nobody had closed the window before the rain."
RUNS = 2


def speed_figures(encoder: Model, synthesizer: Model, vocoder: Model) -> Value:
    """What ``measure`` finds, in a fresh process."""
    names = [str(model.path or model.name) for model in (encoder, synthesizer, vocoder)]
    done = subprocess.run(
        [sys.executable, "-m", "evaluation.speed", *names], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(encoder: str, synthesizer: str, vocoder: str) -> Value:
    """Seconds to load, x real time of each stage (the better of two runs after a first), and peak memory in MB."""
    import torch

    from audio.io import load_wav
    from models.device import configure_threads
    from toolbox.doctor import REFERENCE_CLIP
    from toolbox.pipeline import VoiceCloner

    threads = configure_threads()
    started = time.perf_counter()
    cloner = VoiceCloner(encoder=encoder, synthesizer=synthesizer, vocoder=vocoder, device="cpu")
    cloner.load()
    loading = time.perf_counter() - started
    wav = load_wav(REFERENCE_CLIP, cloner.encoder.sample_rate)
    speech = cloner.clone(TEXT, wav, seed=0)
    mels = cloner.synthesize(TEXT, speech.embed, seed=0).mels
    stages: dict[str, tuple[float, Callable[[], Any]]] = {
        "encoder": (len(wav) / cloner.encoder.sample_rate, lambda: cloner.embed_reference(wav)),
        "synthesizer": (speech.seconds, lambda: cloner.synthesize(TEXT, speech.embed, seed=0)),
        "vocoder": (speech.seconds, lambda: cloner.vocode(mels, seed=0)),
        "end to end": (speech.seconds, lambda: cloner.clone(TEXT, wav, seed=0)),
    }
    figures: Value = {"load_seconds": loading, "sound_seconds": speech.seconds, "threads": threads}
    for name, (seconds, work) in stages.items():
        figures[name] = seconds / min(_took(work) for _ in range(RUNS))
    return figures | {"peak_mb": _peak_mb(), "torch": torch.__version__}


def _took(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak_mb() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    prepare_environment()
    names = sys.argv[1:] if argv is None else argv
    if len(names) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    print(json.dumps(measure(*names)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
