"""The window under load: start-up time, lateness of a timer on the Qt thread, memory over generations.

    python -m benchmarks.window --start                how long until the window is painted, three times
    python -m benchmarks.window --lateness             a clip, ten clones and the first map: how late a 10 ms timer is
    python -m benchmarks.window --memory               500 generations: memory, and lateness all along
    python -m benchmarks.window                        start and lateness, with --generations N clones (20)

Uses the display there is; QT_QPA_PLATFORM=offscreen or xvfb-run where there is none. Without ``-m`` tiny networks
with random weights are used: they load the interpreter, and so the window, more than real ones do. With ``-m
models --model vocoder=griffin-lim`` it is real ones, and the figures say what a user gets. ``--trace`` prints what
every thread does when the timer is late by 100 ms. An idle machine is wanted: a second program that computes makes
every figure its own.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.driver import Story, drive
from models.environment import prepare_environment

INTERVAL_MS = 10
MEMORY_GENERATIONS = 500
SHORT_TEXT = "Good morning."
"""For 500 generations: what stays of each counts, not how long it sounds."""
TEXT = "The weather is nice today, so we are going to the park."
REFERENCE = Path(__file__).resolve().parent.parent / "toolbox" / "assets" / "reference.flac"


def main() -> int:
    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", action="store_true", help="only the time until the window is painted")
    parser.add_argument("--lateness", action="store_true", help="only the timer, during ten clones")
    parser.add_argument("--memory", action="store_true", help=f"only memory, over {MEMORY_GENERATIONS} generations")
    parser.add_argument("--generations", type=int, help="clones to make")
    parser.add_argument("--text", help="what is said")
    parser.add_argument("-m", "--models_dir", type=Path, action="append")
    parser.add_argument("--model", action="append", default=[], metavar="KIND=NAME")
    parser.add_argument("--clip", type=Path, default=REFERENCE)
    parser.add_argument("--trace", action="store_true", help="print what every thread does when the timer is late")
    parser.add_argument("--paint", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--make_models", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make_models is not None:
        tiny_models(args.make_models)
        return 0
    with tempfile.TemporaryDirectory() as name:
        if args.paint:
            return paint(Path(name))
        if args.start or not (args.lateness or args.memory):
            print(f"start until painted: {', '.join(f'{seconds:.2f}' for seconds in starts())} s")
        if args.start:
            return 0
        if args.generations is None:
            args.generations = MEMORY_GENERATIONS if args.memory else 10 if args.lateness else 20
        args.text = args.text or (SHORT_TEXT if args.memory else TEXT)
        if args.models_dir is None:
            args.models_dir = [Path(name) / "models"]
            # In another process: loading torch is part of what is measured in this one.
            subprocess.run([sys.executable, "-m", "benchmarks.window", "--make_models", args.models_dir[0]], check=True)
        measure(args, Path(name))
    return 0


def starts(runs: int = 3) -> list[float]:
    """Seconds from the call of the interpreter to the painted window, cold file cache only in the first."""
    seconds = []
    for _ in range(runs):
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.window", "--paint"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds.append(time.monotonic() - began)
    return seconds


def program_in(folder: Path, **parts: Any) -> Any:
    """The program with its settings in a folder of its own."""
    from PyQt5.QtCore import QSettings

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
    from toolbox.window import SWITCH_SECONDS, Program

    sys.setswitchinterval(SWITCH_SECONDS)

    return Program(cpu=True, seed=1, data=folder / "data", **parts)


def paint(folder: Path) -> int:
    """Show the window, say so when it has been painted, and leave."""
    from PyQt5.QtCore import QTimer

    program = program_in(folder)
    program.open()
    program.window.repaint()
    print("painted", flush=True)
    QTimer.singleShot(0, program.app.quit)
    program.app.exec_()
    program.close()
    return 0


class Lateness:
    """A timer on the Qt thread that notes how late it is, in milliseconds."""

    def __init__(self, parent: Any, trace: bool = False) -> None:
        from PyQt5.QtCore import Qt, QTimer

        self.values: list[float] = []
        self.trace = trace
        self._last = time.perf_counter()
        self._timer = QTimer(parent)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        if self.trace:
            faulthandler.dump_traceback_later(0.1)
        self.values.append(max(0.0, 1000 * (now - self._last) - INTERVAL_MS))
        self._last = now

    def forget(self) -> None:
        """The time since the last tick was the measurement's own, on this thread."""
        self._last = time.perf_counter()

    def report(self, name: str) -> None:
        """Print what was seen since the last report."""
        values, self.values = sorted(self.values), []
        if values:
            middle, high = values[len(values) // 2], values[int(0.999 * (len(values) - 1))]
            late = sum(value > 100 for value in values)
            print(f"{name}: late by {middle:.1f} ms in the median, {high:.0f} ms at 99.9 %, {values[-1]:.0f} ms at "
                  f"most; {late} of {len(values)} times over 100 ms", flush=True)


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Clones in the real window."""
    program = program_in(folder, models_dir=args.models_dir)
    for choice in args.model:
        kind, _, name = choice.partition("=")
        program.settings.set(f"model/{kind}", name)
        program.controller.choose_model(kind, name)
    program.open()
    try:
        drive(program, story(program, args, Lateness(program.window, args.trace)))
    finally:
        program.close()


def story(program: Any, args: argparse.Namespace, lateness: Lateness) -> Story:
    """What is done and measured, step by step."""
    from toolbox.projection import MIN_UMAP_POINTS

    state, control = program.state, program.controller
    yield lambda: state.models("vocoder").names and state.activity is None
    lateness.report("loading of torch and models")
    control.load_files([args.clip])
    yield lambda: state.voice is not None and state.voice.embed is not None and state.activity is None
    lateness.report("loading of a clip")
    state.set_text(args.text)
    control.speech.clone()
    yield lambda: len(state.results) == 1 and state.activity is None
    lateness.report("first clone")
    for _ in range(9):
        control.speech.clone()
        made = state.results[-1].id
        yield lambda made=made: state.results[-1].id != made and state.activity is None
    began = time.monotonic()
    if sum(result.embed is not None for result in state.results) >= MIN_UMAP_POINTS:
        yield lambda: state.projection.method == "UMAP" or time.monotonic() > began + 120
    lateness.report("nine clones and the first map by UMAP")
    before = memory()
    for number in range(10, args.generations):
        made = state.results[-1].id
        control.speech.clone()
        yield lambda made=made: state.results[-1].id != made and state.activity is None
        if number % 50 == 0:
            gc.collect()
            print(f"{number} generations: {memory():.0f} MB (after 10: {before:.0f} MB)", flush=True)
            lateness.forget()
    if args.generations <= 10:
        return
    lateness.report(f"{args.generations} generations")
    gc.collect()
    print(f"memory after {args.generations} generations: {memory():.0f} MB, after 10: {before:.0f} MB")


def memory() -> float:
    """Resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def tiny_models(root: Path) -> None:
    """Fill a folder with a set of small networks of random weights."""
    import torch

    from encoder.config import EncoderConfig
    from encoder.network import SpeakerEncoder
    from models.checkpoint import write_checkpoint
    from synthesizer.config import TacotronConfig
    from synthesizer.network import Tacotron
    from vocoder.config import WaveRNNConfig
    from vocoder.wavernn import WaveRNN

    torch.manual_seed(0)
    tacotron = TacotronConfig(
        embed_dims=16, encoder_dims=16, encoder_kernels=2, decoder_dims=16, lstm_dims=32, postnet_dims=16,
        postnet_kernels=2, highways=1, r=4,
    )
    networks: dict[str, tuple[str, Any]] = {
        "encoder": ("speaker_encoder", SpeakerEncoder(EncoderConfig(hidden=16, layers=1))),
        "synthesizer": ("tacotron", Tacotron(tacotron)),
        "vocoder": ("wavernn", WaveRNN(WaveRNNConfig(
            rnn_dims=16, fc_dims=16, compute_dims=16, res_out_dims=16, res_blocks=1))),
    }
    for kind, (architecture, network) in networks.items():
        path = root / "default" / kind
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(path, kind=kind, architecture=architecture, config=network.cfg.to_dict(),
                         state=network.state_dict(), card={})


if __name__ == "__main__":
    sys.exit(main())
