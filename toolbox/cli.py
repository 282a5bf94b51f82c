"""The command line: arguments, prompts, bars and exit codes; the work itself is the pipeline's.

Exit codes: 0 done, 1 something failed (one line on stderr), 2 wrong usage, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from audio.errors import Cancelled, TextError, ToolboxError
from models.environment import prepare_environment
from synthesizer.speed import check_speed

if TYPE_CHECKING:
    from toolbox.pipeline import Progress, Speech, VoiceCloner
    from toolbox.vocoding import Piece

OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg")
log = logging.getLogger(__name__)


class UsageError(Exception):
    """The arguments do not say what to do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (--help shows the arguments)", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """The arguments of demo_cli.py."""
    parser = _Parser(
        prog="demo_cli.py",
        description="Says a text in the voice of a recording. Without --reference it asks for recordings and texts.",
        allow_abbrev=False,
    )
    job = parser.add_argument_group("what to say")
    job.add_argument("--reference", nargs="+", metavar="CLIP", type=Path,
                     help="recording of the voice; several recordings of one voice are averaged")
    job.add_argument("--text", help="what to say")
    job.add_argument("--text_file", metavar="F", help="file with what to say (UTF-8); - reads standard input")
    job.add_argument("--output", metavar="OUT.wav", type=Path,
                     help="file to write: .wav, .flac or .ogg (default: the next free demo_output_NN.wav)")
    job.add_argument("--batch", metavar="JOBS.csv", type=Path,
                     help="do all rows of a CSV file with the columns reference,text,output; finished rows are skipped")
    models = parser.add_argument_group("models (a name, or a file)")
    models.add_argument("-e", "--enc_model_fpath", metavar="ENCODER")
    models.add_argument("-s", "--syn_model_fpath", metavar="SYNTHESIZER")
    models.add_argument("-v", "--voc_model_fpath", metavar="VOCODER")
    models.add_argument("--vocoder", metavar="NAME", help="vocoder by name, for instance griffin-lim")
    models.add_argument("-m", "--models_dir", type=Path, action="append", metavar="FOLDER",
                        help="further folder with models, searched first")
    run = parser.add_argument_group("how")
    run.add_argument("--device", help="cpu, cuda or cuda:N (default: the best there is)")
    run.add_argument("--cpu", action="store_true", help="the same as --device cpu")
    run.add_argument("--seed", type=int, help="the same seed gives the same samples")
    run.add_argument("--speed", type=float, default=1.0, metavar="X",
                     help="how fast to speak: 0.5 is half as fast as usual, 2 twice as fast")
    run.add_argument("--trim_silences", action="store_true", help="shorten long silences of the result")
    run.add_argument("--no_sound", action="store_true", help="do not play the result (else: while it is made)")
    run.add_argument("--no_mp3_support", action="store_true",
                     help="kept for old scripts: mp3 needs nothing extra here, so this changes nothing")
    run.add_argument("--verbose", action="store_true", help="tell what happens; show tracebacks")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run demo_cli.py with ``argv`` (default: the process's); returns the exit code."""
    prepare_environment()
    args = build_parser().parse_args(argv)
    level = logging.INFO if args.verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        _check_usage(args)
        return _run(args)
    except UsageError as error:
        return _say_error(args, error, 2)
    except (KeyboardInterrupt, Cancelled):
        print("demo_cli.py: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _say_error(args, error, 1)


def _say_error(args: argparse.Namespace, error: Exception | str, code: int) -> int:
    if args.verbose and isinstance(error, Exception):
        log.error("traceback", exc_info=error)
    _say(f"demo_cli.py: {_one_line(error)}")
    return code


def _say(line: str, file: TextIO | None = None) -> None:
    """Print a line, to stderr unless told otherwise, without cutting into a bar."""
    file = file or sys.stderr
    if sys.stderr.isatty() and "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=file)
    else:
        print(line, file=file, flush=True)


def _one_line(error: Exception | str) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, str | ToolboxError | UsageError):
        return text
    return f"{type(error).__name__}: {text} (--verbose shows where)"


def _check_usage(args: argparse.Namespace) -> None:
    if args.text is not None and args.text_file is not None:
        raise UsageError("give --text or --text_file, not both")
    if args.cpu and args.device not in (None, "cpu"):
        raise UsageError(f"--cpu and --device {args.device} contradict each other")
    if args.vocoder and args.voc_model_fpath:
        raise UsageError("give --vocoder or -v, not both")
    try:
        check_speed(args.speed)
    except TextError as error:
        raise UsageError(f"--speed: {error}") from error
    one_shot = [args.reference, args.text, args.text_file, args.output]
    if args.batch and any(value is not None for value in one_shot):
        raise UsageError("--batch takes references, texts and outputs from its file only")
    if not args.reference and any(value is not None for value in one_shot):
        raise UsageError("--reference CLIP is missing: whose voice is it to be?")
    if args.output is not None and args.output.suffix.lower() not in ("", *OUTPUT_SUFFIXES):
        raise UsageError(f"--output must end in {', '.join(OUTPUT_SUFFIXES)}, not {args.output.suffix}")
    if args.output is not None and args.output.is_dir():
        raise UsageError(f"--output {args.output} is a folder: name a file in it")


def _run(args: argparse.Namespace) -> int:
    text = _text_of(args) if args.reference else None
    for path in args.reference or ():
        if not path.is_file():
            what = "is a folder, not a recording" if path.is_dir() else "does not exist"
            raise ToolboxError(f"{path} {what}")
    if args.batch:
        return _batch(args)
    cloner = _make_cloner(args)
    if args.reference and text is not None:
        _one_shot(args, cloner, args.reference, text, args.output)
        return 0
    return _interactive(args, cloner)


def _text_of(args: argparse.Namespace) -> str | None:
    """The text of a one-shot run; None means that it is to be asked for at the terminal."""
    text = args.text
    if args.text_file == "-" or (text is None and args.text_file is None and not sys.stdin.isatty()):
        text = sys.stdin.read()
    elif args.text_file is not None:
        try:
            text = Path(args.text_file).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ToolboxError(f"{args.text_file} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ToolboxError(f"{args.text_file} is not text in UTF-8: save it as UTF-8") from error
    if text is not None and not text.strip():
        raise ToolboxError("There is no text to say: give --text or --text_file, or pipe a text in")
    return text


def _make_cloner(args: argparse.Namespace) -> VoiceCloner:
    from models.device import configure_threads
    from models.registry import ModelRegistry
    from toolbox.pipeline import VoiceCloner

    configure_threads()
    for folder in args.models_dir or ():
        if not folder.is_dir():
            raise ToolboxError(f"The models folder {folder} does not exist")
    return VoiceCloner(
        registry=ModelRegistry(args.models_dir) if args.models_dir else None,
        encoder=args.enc_model_fpath,
        synthesizer=args.syn_model_fpath,
        vocoder=args.vocoder or args.voc_model_fpath,
        device="cpu" if args.cpu else args.device,
    )


@contextmanager
def _bar() -> Iterator[Progress | None]:
    """A progress callback that draws a bar on a terminal; None, and no bar, when stderr is piped."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=100, leave=False, bar_format="|{bar}| {percentage:3.0f}% {elapsed}") as bar:

        def show(done: int, total: int) -> None:
            # Set, not added: a batch runs many rows through one bar.
            bar.total, bar.n = total, done
            bar.refresh()

        yield show


def _one_shot(
    args: argparse.Namespace, cloner: VoiceCloner, references: Sequence[Path], text: str, output: Path | None
) -> Speech:
    from toolbox.batch import with_suffix

    with _loudspeaker(args) as hear:
        with _bar() as progress:
            stream = cloner.stream(
                text, list(references), seed=args.seed, speed=args.speed, trim_silences=args.trim_silences,
                progress=progress,
            )
            for piece in stream:
                hear(piece)
        speech = stream.result
        if output is None:
            path = _save_numbered(speech)
        else:
            path = with_suffix(output)
            path.parent.mkdir(parents=True, exist_ok=True)
            speech.save(path)
        _report(speech, path)
    return speech


@contextmanager
def _loudspeaker(args: argparse.Namespace) -> Iterator[Callable[[Piece], None]]:
    """Plays the pieces that it is given as they come; then waits for the end, and says when there was no sound."""
    from toolbox.player import Player

    player, started = Player(), False

    def hear(piece: Piece) -> None:
        nonlocal started
        if args.no_sound:
            return
        if not started:
            started = True
            player.start(piece.sample_rate)
        player.append(piece.wav)

    try:
        yield hear
        if started:
            player.finish()
        # A wait without a limit cannot be interrupted by Ctrl-C on Windows.
        while not player.wait(0.2):
            pass
    finally:
        player.close()
    if player.error is not None:
        _say(f"demo_cli.py: not played, but the file is written: {_one_line(player.error)}")
        args.no_sound = True  # Once is enough to know it.


def _save_numbered(speech: Speech, folder: Path = Path(".")) -> Path:
    """Write demo_output_NN.wav with the first number that is free."""
    number = 0
    while True:
        path = folder / f"demo_output_{number:02d}.wav"
        try:
            # Claims the name: two programs at work in one folder do not take the same one.
            path.open("xb").close()
        except FileExistsError:
            number += 1
            continue
        try:
            return speech.save(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _report(speech: Speech, path: Path) -> None:
    _say(f"{path}: {speech.seconds:.1f} s, seed {speech.seed}", sys.stdout)
    for warning in speech.warnings:
        _say(f"demo_cli.py: warning: {warning}")


def _ask(question: str) -> str:
    """A line of standard input, without the quotes that a dragged file name comes in; EOFError at its end."""
    if sys.stdin.isatty():
        line = input(question)
    else:
        line = sys.stdin.readline()
        if not line:
            raise EOFError
    return line.strip().strip("\"'").strip()


def _interactive(args: argparse.Namespace, cloner: VoiceCloner) -> int:
    """Ask for a recording and a sentence, again and again; 1 when a round of a piped run failed."""
    failed = False
    while True:
        try:
            references = args.reference or [_asked_path(_ask("Recording of the voice (wav, mp3, flac, m4a, ...): "))]
            text = _ask("Sentence to say: ")
            _one_shot(args, cloner, references, text, None)
        except EOFError:
            return 1 if failed else 0
        except (ToolboxError, OSError) as error:
            _say_error(args, error, 1)
            failed = not sys.stdin.isatty()


def _asked_path(answer: str) -> Path:
    if not answer:
        raise ToolboxError("No recording named: type the path of a file, or press Ctrl-D to leave")
    return Path(answer).expanduser()


def _batch(args: argparse.Namespace) -> int:
    from toolbox.batch import Job, read_jobs, run_batch

    jobs = read_jobs(args.batch, args.seed)
    cloner = _make_cloner(args)
    # A model that is missing would fail every row with the same words.
    cloner.model_info()

    def on_speech(job: Job, speech: Speech) -> None:
        _report(speech, job.output)

    def on_failure(line: int, reason: Exception | str) -> None:
        _say_error(args, _line_error(args, line, reason), 1)

    with _bar() as progress:
        summary = run_batch(
            jobs,
            cloner,
            speed=args.speed,
            trim_silences=args.trim_silences,
            progress=lambda index: progress,
            on_speech=on_speech,
            on_failure=on_failure,
        )
    print(f"{args.batch}: {summary}")
    return 1 if summary.failures else 0


def _line_error(args: argparse.Namespace, line: int, reason: Any) -> str:
    if args.verbose and isinstance(reason, Exception):
        log.error("line %d", line, exc_info=reason)
    return f"{args.batch} line {line}: {_one_line(reason)}"
