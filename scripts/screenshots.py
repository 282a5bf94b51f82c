"""Pictures of the real window at work: python -m scripts.screenshots [--out docs] [-m MODELS] CLIP...

Needs a display (``make screenshots`` brings a virtual one) and models. The clips are loaded, two sentences are
cloned, and the window is taken at two sizes and in both palettes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.driver import Story, drive, pause
from models.environment import prepare_environment

SIZES = ((1024, 700), (1280, 800), (1920, 1080))
TEXT = "The harbour lay quiet in the morning light.\nNobody had seen the ship arrive."
TIMEOUT_SECONDS = 900.0


def main() -> int:
    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("-m", "--models_dir", type=Path, action="append")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="KIND=NAME", help="model to use")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        take(args, Path(folder))
    return 0


def take(args: argparse.Namespace, folder: Path) -> None:
    """Drive the window and write the pictures."""
    from PyQt5.QtCore import QSettings

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
    from toolbox.settings import Settings
    from toolbox.window import Program

    for choice in args.model:
        kind, _, name = choice.partition("=")
        Settings().set(f"model/{kind}", name)
    program = Program(
        cpu=True, seed=7, models_dir=args.models_dir or (), datasets_root=args.corpus, data=folder / "data"
    )
    program.open()
    try:
        drive(program, steps(program, args), TIMEOUT_SECONDS)
    finally:
        program.close()


def steps(program: Any, args: argparse.Namespace) -> Story:
    """The story of the pictures."""
    state, window, control = program.state, program.window, program.controller
    window.resize(*SIZES[1])
    yield pause(3)
    yield lambda: state.models("vocoder").names and state.activity is None
    shoot(args.out, window, "window-empty")
    control.load_files(args.clips)
    yield lambda: len(state.clips) == len(args.clips) and state.activity is None
    control.select_clip(state.clips[0].id)
    state.set_text(TEXT)
    for count in (1, 2):
        control.speech.clone()
        yield lambda: state.activity is not None and state.take is not None
        if count == 1:
            yield lambda: state.activity is None or state.activity.rate is not None
            shoot(args.out, window, "window-cloning")
        yield lambda count=count: state.activity is None and len(state.results) == count
        control.select_clip(state.clips[-1].id)
    settled = pause(12)
    yield lambda: settled() and not state.projection.fitting
    for width, height in SIZES:
        window.resize(width, height)
        yield pause(1.0)
        shoot(args.out, window, f"window-{width}x{height}")
    window.resize(*SIZES[1])
    window.choose_theme("dark")
    window.show_log(True)
    yield pause(1.0)
    shoot(args.out, window, "window-dark")


def shoot(folder: Path, window: Any, name: str) -> None:
    """One picture."""
    path = folder / f"{name}.png"
    if not window.grab().save(str(path)):
        raise SystemExit(f"screenshots: {path} was not written")
    print(path)


if __name__ == "__main__":
    sys.exit(main())
