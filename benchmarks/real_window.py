"""The real window on a virtual display and a sound server of its own: what it records and plays is what was meant.

    python -m benchmarks.real_window [WAV] [-m MODELS] [--model KIND=NAME] [--pictures FOLDER]

A program plays the wav; the window, worked by its buttons, records it through PortAudio from the monitor of a null
sink, clones a text in that voice, and plays the result, to which another program listens. Exit codes: 0 all was
heard, 1 it was not, 77 something is not installed (Debian: apt install xvfb pulseaudio pulseaudio-utils
libasound2-plugins libportaudio2).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.driver import Story, StoryStopped, drive, pause
from models.environment import prepare_environment

TEXT = "This voice was recorded a minute ago.\nWhat it says now was never spoken."
SCREEN = "-screen 0 1280x800x24"
STEP_SECONDS = 600.0
MIN_SEGMENT_CORRELATION = 0.95
"""Of each sentence that sounds while the next is made: its end may be cut by a block where the sound had to wait."""


def main() -> int:
    """Print what was found; returns the exit code."""
    from benchmarks.real_audio import SKIPPED, missing_programs, sound_server
    from toolbox.doctor import REFERENCE_CLIP

    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wav", nargs="?", type=Path, default=REFERENCE_CLIP)
    parser.add_argument("-m", "--models_dir", type=Path, action="append", default=[])
    parser.add_argument("--model", action="append", default=[], metavar="KIND=NAME")
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--trace", action="store_true", help="print what every thread does when a timer is late")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the window")
    args = parser.parse_args()
    missing = missing_programs() + [name for name in ("parecord", "xvfb-run") if shutil.which(name) is None]
    if missing:
        print(f"skipped: not installed here: {', '.join(missing)}")
        return SKIPPED
    if not os.environ.get("DISPLAY"):
        command = ["xvfb-run", "-a", "-s", SCREEN, sys.executable, "-m", "benchmarks.real_window", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, "QT_QPA_PLATFORM": "xcb"}).returncode
    with tempfile.TemporaryDirectory() as folder, sound_server():
        try:
            return 0 if run(args, Path(folder)) else 1
        except StoryStopped as error:
            print(f"FAIL {error}")
            return 1


def run(args: argparse.Namespace, folder: Path) -> bool:
    """Open the window, work it, close it."""
    from benchmarks.window import Lateness, program_in

    program = program_in(folder, models_dir=args.models_dir)
    for choice in args.model:
        kind, _, name = choice.partition("=")
        program.controller.choose_model(kind, name)
    results: list[bool] = []
    program.open()
    try:
        lateness = Lateness(program.window, args.trace)
        drive(program, story(program, args, folder, lateness, results), STEP_SECONDS)
    finally:
        closed = program.close()
    print(f"{'ok  ' if closed else 'FAIL'} every thread has ended")
    return closed and all(results)


def story(program: Any, args: argparse.Namespace, folder: Path, lateness: Any, results: list[bool]) -> Story:
    """A first visit: record, clone, listen. What each step found is added to ``results``."""
    from PyQt5.QtWidgets import QAbstractButton, QPlainTextEdit

    state, window = program.state, program.window

    def press(name: str) -> None:
        button = window.findChild(QAbstractButton, name)
        assert button.isEnabled(), f"{name} is disabled: {button.toolTip()}"
        button.click()

    yield lambda: state.models("vocoder").names and state.activity is None and state.inputs.names
    lateness.report("start")
    print(f"input {state.inputs.current}, output {state.outputs.current}, models: "
          f"{', '.join(state.models(kind).current for kind in ('encoder', 'synthesizer', 'vocoder'))}")
    known = sound_file(args.wav, folder / "known.wav")
    press("record_button")
    yield lambda: state.recording is not None and state.recording.seconds > 0
    with subprocess.Popen(["paplay", str(folder / "known.wav")]) as player:
        yield lambda: player.poll() is not None
    yield pause(0.5)
    press("record_button")
    yield lambda: state.clips and state.clips[0].embed is not None and state.activity is None
    clip = state.clips[0]
    lateness.report("recording")
    results.append(check("known wav -> window's recording", known, clip.wav))
    shoot(window, args.pictures, "recorded")
    print(f"  {clip.seconds:.1f} s; {clip.coaching.advice}")
    lateness.forget()

    window.findChild(QPlainTextEdit, "text_edit").setPlainText(args.text)
    yield lambda: window.findChild(QAbstractButton, "clone_button").isEnabled()
    with listening(folder / "cloning.wav"):
        press("clone_button")
        yield lambda: state.activity is not None
        yield lambda: (state.results and state.activity is None and state.playback is None) or broken(state)
        yield pause(0.5)
    lateness.report("cloning and playing at once")
    results.append(bool(state.results) and not broken(state))
    if not results[-1]:
        print(f"FAIL the clone: {broken(state)}")
        return
    result = state.results[-1]
    print(f"  {result.seconds:.1f} s of speech in {result.seconds_taken:.1f} s")
    heard = load(folder / "cloning.wav")
    for number, (start, stop) in enumerate(result.spans, 1):
        name = f"sentence {number} as it was made -> heard"
        results.append(check(name, result.wav[start:stop], heard, MIN_SEGMENT_CORRELATION))

    with listening(folder / "result.wav"):
        yield pause(1.0)
        press("play_result")
        yield lambda: state.playback is not None
        yield lambda: state.playback is None
        yield pause(0.5)
    results.append(check("result -> heard", result.wav, load(folder / "result.wav")))
    yield lambda: state.results[-1].score is not None
    print(f"  {state.results[-1].score.sentence}")
    yield lambda: len(state.projection.points) == 2
    yield pause(1.0)
    shoot(window, args.pictures, "cloned")
    state.update_result(result.id, saved_to=folder)


def sound_file(source: Path, target: Path) -> np.ndarray:
    """Write the known wav where any program can play it; returns it."""
    from audio.io import load_wav, save_wav
    from benchmarks.real_audio import SAMPLE_RATE

    wav = load_wav(source, SAMPLE_RATE, max_seconds=8.0)
    save_wav(target, wav, SAMPLE_RATE)
    return load(target)


def load(path: Path) -> np.ndarray:
    """A wav (S,) at the rate that is compared at."""
    from audio.io import load_wav
    from benchmarks.real_audio import SAMPLE_RATE

    return load_wav(path, SAMPLE_RATE)


@contextmanager
def listening(path: Path) -> Iterator[None]:
    """Another program writes down what comes out of the loudspeaker."""
    command = ["parecord", "--device=loop.monitor", "--rate=16000", "--channels=1", "--file-format=wav", str(path)]
    with subprocess.Popen(command) as program:
        try:
            yield
        finally:
            program.terminate()


def check(name: str, sent: np.ndarray, came: np.ndarray, least: float | None = None) -> bool:
    """Compare what was heard with what was meant."""
    from benchmarks.real_audio import MAX_LEVEL_ERROR_DB, MIN_CORRELATION, SAMPLE_RATE, match

    found = match(sent, came, SAMPLE_RATE)
    good = found.correlation >= (least or MIN_CORRELATION) and abs(found.level_db) <= MAX_LEVEL_ERROR_DB
    print(f"{'ok  ' if good else 'FAIL'} {name}: correlation {found.correlation:.4f}, {len(sent) / SAMPLE_RATE:.2f} s, "
          f"after {found.delay:.2f} s, level {found.level_db:+.2f} dB", flush=True)
    return good


def broken(state: Any) -> str:
    """What the log says of an error, "" when there is none."""
    return next((line.text for line in state.log if line.level == "error"), "")


def shoot(window: Any, folder: Path | None, name: str) -> None:
    """A picture, where they are wanted."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        window.grab().save(str(folder / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())
