"""``python -m toolbox``: run | doctor | models ... | marks FILE; only chooses what to call."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audio.errors import ToolboxError
from models.environment import prepare_environment

WINDOW_SCRIPT = Path(__file__).resolve().parent.parent / "demo_toolbox.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit code."""
    prepare_environment()
    from models import cli as models_cli

    parser = argparse.ArgumentParser(prog="python -m toolbox", description="Voice-cloning toolbox.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="open the window, or without a display write a wav of a default sentence")
    doctor = commands.add_parser("doctor", help="check this installation and say how to mend it")
    doctor.add_argument("--record", action="store_true", help=argparse.SUPPRESS)
    doctor.add_argument("--no_clone", action="store_true", help="leave the trial run out (seconds instead of minutes)")
    marks = commands.add_parser("marks", help="tell what a generated sound file says of itself")
    marks.add_argument("file", type=Path)
    models_cli.add_arguments(commands)
    args = parser.parse_args(argv)
    try:
        if args.command == "models":
            return models_cli.run(args)
        if args.command == "doctor":
            from toolbox.doctor import record, run_doctor

            return record() if args.record else run_doctor(with_clone=not args.no_clone)
        return run() if args.command == "run" else show_marks(args.file)
    except ToolboxError as error:
        print(f"toolbox: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolbox: stopped", file=sys.stderr)
        return 130


def run() -> int:
    """Open the window where there is one to open, else clone the bundled clip."""
    from toolbox.doctor import REFERENCE_CLIP, TRIAL_SEED, TRIAL_TEXT, display_name

    if display_name() and WINDOW_SCRIPT.is_file():
        import runpy

        sys.argv = [str(WINDOW_SCRIPT)]
        runpy.run_path(str(WINDOW_SCRIPT), run_name="__main__")
        return 0
    from toolbox import cli

    why = "there is no window yet" if not WINDOW_SCRIPT.is_file() else "there is no display"
    print(f"As {why}, here is the bundled voice saying: {TRIAL_TEXT}", flush=True)
    job = ["--reference", str(REFERENCE_CLIP), "--text", TRIAL_TEXT, "--seed", str(TRIAL_SEED)]
    code = cli.main([*job, "--no_sound"])
    if code == 0:
        print('Next: python demo_cli.py --reference YOUR_CLIP --text "Your sentence."')
    return code


def show_marks(path: Path) -> int:
    """Print the mark of a generated file; 1 when it has none."""
    from audio.io import read_metadata
    from toolbox.provenance import parse_metadata

    mark = parse_metadata(read_metadata(path))
    if mark is None:
        print(f"{path} carries no mark of this program. That does not prove that a person spoke it.")
        return 1
    print(f"{path} is synthetic speech.")
    for label, value in (("program", mark.program), ("seed", mark.seed), ("voice", mark.voice), ("text", mark.text)):
        print(f"{label:12s} {value}")
    if mark.speed != 1.0:
        print(f"{'speed':12s} {mark.speed}")
    for index, seed in mark.retakes:
        print(f"{'said again':12s} sentence {index + 1} with the seed {seed}")
    for kind, name in mark.models.items():
        print(f"{kind:12s} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
