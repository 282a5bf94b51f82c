"""Time of each stage of the pipeline, in times real time; knows no quality.

``python -m benchmarks.pipeline [--vocoder NAME] [--threads N]``. Load comes first in the output: another job on the
machine changes these numbers more than the code does.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from audio.errors import ToolboxError
from benchmarks.machine import describe
from models.environment import prepare_environment
from toolbox.doctor import REFERENCE_CLIP, TRIAL_TEXT


def measure(work: Callable[[], Any], seconds: Callable[[Any], float], runs: int) -> tuple[float, float]:
    """(seconds of sound, best seconds of work) of ``runs`` runs after one that is not counted."""
    result = work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return seconds(result), min(times)


def main() -> int:
    """Print the table; returns the exit code."""
    prepare_environment()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--vocoder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--text", default=TRIAL_TEXT)
    args = parser.parse_args()

    from audio.io import load_wav
    from audio.mel import SYNTHESIZER_MEL
    from models.device import configure_threads
    from toolbox.pipeline import VoiceCloner

    threads = configure_threads(args.threads)
    print(describe(threads))
    try:
        started = time.perf_counter()
        cloner = VoiceCloner(vocoder=args.vocoder, device=args.device)
        cloner.load()
        print(f"models loaded in {time.perf_counter() - started:.1f} s: {', '.join(map(str, cloner.model_info()))}")
        wav = load_wav(REFERENCE_CLIP, cloner.encoder.sample_rate)
        rate, clip_seconds = cloner.sample_rate, len(wav) / cloner.encoder.sample_rate
        embed = cloner.embed_reference(wav)
        spoken = cloner.synthesize(args.text, embed, seed=1)
        mel_seconds = spoken.mel.shape[1] * SYNTHESIZER_MEL.hop_length / SYNTHESIZER_MEL.sample_rate
        stages: list[tuple[str, Callable[[], Any], Callable[[Any], float]]] = [
            ("encoder", lambda: cloner.embed_reference(wav), lambda _: clip_seconds),
            ("synthesizer", lambda: cloner.synthesize(args.text, embed, seed=1), lambda _: mel_seconds),
            ("vocoder", lambda: cloner.vocode(spoken.mels, seed=1), lambda out: np.size(out) / rate),
            ("all", lambda: cloner.clone(args.text, wav, seed=1), lambda out: out.seconds),
        ]
        print(f"{'stage':12s} {'sound s':>8s} {'work s':>8s} {'x real time':>12s}")
        for name, work, seconds in stages:
            sound, took = measure(work, seconds, args.runs)
            print(f"{name:12s} {sound:8.2f} {took:8.2f} {sound / took:12.2f}")
    except ToolboxError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
