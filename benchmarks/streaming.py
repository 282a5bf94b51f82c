"""Time from the press of the button to the first sound and to the last, streamed and whole; knows no sound device.

``python -m benchmarks.streaming [--vocoder NAME] [--threads N]``. Models are loaded and the voice is embedded before,
as in the window; the first press after that is shown apart. "late" is how long the loudspeaker had to wait for a
piece. Load comes first in the output: another job on the machine changes these numbers more than the code does.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from audio.errors import ToolboxError
from benchmarks.machine import describe, load
from models.environment import prepare_environment
from toolbox.doctor import REFERENCE_CLIP

TEXT = (
    "The weather is nice today, so we are going to the park. There is a lake with many birds. My sister has packed "
    "bread and cheese for all of us. We will come home before it gets dark. Would you like to join us there?"
)


def press(pieces: Iterator[Any]) -> tuple[float, float, float, float]:
    """Seconds to the first piece, to the last, of the longest wait for one that should have sounded, and of sound."""
    started = time.perf_counter()
    first = last = late = sound = 0.0
    for piece in pieces:
        last = time.perf_counter() - started
        first = first or last
        late = max(late, last - (first + sound))
        sound += len(piece.wav) / piece.sample_rate
    return first, last, late, sound


def main() -> int:
    """Print the table; returns the exit code."""
    prepare_environment()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocoder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--text", default=TEXT)
    args = parser.parse_args()

    from models.device import configure_threads
    from toolbox.pipeline import VoiceCloner

    threads = configure_threads(args.threads)
    print(describe(threads))
    try:
        cloner = VoiceCloner(vocoder=args.vocoder, device=args.device)
        cloner.load()
        print(f"models: {', '.join(map(str, cloner.model_info()))}")
        voice = cloner.embed_reference(REFERENCE_CLIP)

        def whole() -> Iterator[Any]:
            yield cloner.clone(args.text, voice, seed=1)

        ways = {"streamed": lambda: cloner.stream(args.text, voice, seed=1), "whole": whole}
        once = press(ways["streamed"]())
        print(f"{'':20s} {'first sound s':>13s} {'all s':>7s} {'late s':>7s} {'sound s':>8s}")
        rows = {"streamed, first time": [once]}
        rows |= {f"{name}, {args.runs} times": [] for name in ways}
        for _ in range(args.runs):
            for name, way in ways.items():
                rows[f"{name}, {args.runs} times"].append(press(way()))
        for name, runs in rows.items():
            first, last, late, sound = (median(values) for values in zip(*runs, strict=True))
            print(f"{name:20s} {first:13.2f} {last:7.2f} {late:7.2f} {sound:8.2f}")
        print(f"medians; load at the end {load()}")
    except ToolboxError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
