"""The window under load: start-up time, lateness of a timer during clones, memory over generations.

    python -m benchmarks.window [--generations 500] [-m MODELS] [--model KIND=NAME] [--clip FILE]

Uses the display there is; QT_QPA_PLATFORM=offscreen or xvfb-run where there is none. Without ``-m`` tiny networks
with random weights are used: they load the interpreter, and so the window, more than real ones do.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.environment import prepare_environment

INTERVAL_MS = 10
TEXT = "The weather is nice today, so we are going to the park."
REFERENCE = Path(__file__).resolve().parent.parent / "toolbox" / "assets" / "reference.flac"


def main() -> int:
    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("-m", "--models_dir", type=Path, action="append")
    parser.add_argument("--model", action="append", default=[], metavar="KIND=NAME")
    parser.add_argument("--clip", type=Path, default=REFERENCE)
    parser.add_argument("--trace", action="store_true", help="print what every thread does when the timer is late")
    parser.add_argument("--start_only", action="store_true", help="only tell when the window is on the screen")
    parser.add_argument("--make_models", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make_models is not None:
        tiny_models(args.make_models)
        return 0
    with tempfile.TemporaryDirectory() as name:
        if args.start_only:
            return start(Path(name))
        print(f"start until painted: {', '.join(f'{seconds:.2f}' for seconds in starts())} s")
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
        command = [sys.executable, "-m", "benchmarks.window", "--start_only"]
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


def start(folder: Path) -> int:
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
    from PyQt5.QtCore import QTimer

    program = program_in(folder, models_dir=args.models_dir)
    for choice in args.model:
        kind, _, name = choice.partition("=")
        program.settings.set(f"model/{kind}", name)
        program.controller.choose_model(kind, name)
    program.open()
    script = story(program, args, Lateness(program.window, args.trace))
    wanted: list[Any] = [lambda: True]

    def advance() -> None:
        if wanted[0]():
            try:
                wanted[0] = next(script)
            except StopIteration:
                timer.stop()
                program.app.quit()

    timer = QTimer(program.window)
    timer.setInterval(20)
    timer.timeout.connect(advance)
    timer.start()
    program.app.exec_()
    program.close()


def story(program: Any, args: argparse.Namespace, lateness: Lateness) -> Iterator[Any]:
    """What is done and measured, step by step."""
    state, control = program.state, program.controller
    yield lambda: state.models("vocoder").names and state.activity is None
    lateness.report("loading of torch and models")
    control.load_files([args.clip])
    yield lambda: state.voice is not None and state.voice.embed is not None and state.activity is None
    lateness.report("loading of a clip")
    state.set_text(TEXT)
    control.speech.clone()
    yield lambda: len(state.results) == 1 and state.activity is None
    lateness.report("first clone")
    for _ in range(9):
        control.speech.clone()
        made = state.results[-1].id
        yield lambda made=made: state.results[-1].id != made and state.activity is None
    settled = time.monotonic() + 3
    yield lambda: time.monotonic() > settled and not state.projection.fitting
    lateness.report("nine clones and the first map by UMAP")
    before = memory()
    for number in range(10, args.generations):
        made = state.results[-1].id
        control.speech.clone()
        yield lambda made=made: state.results[-1].id != made and state.activity is None
        if number % 50 == 0:
            gc.collect()
            print(f"{number} generations: {memory():.0f} MB (after 10: {before:.0f} MB)", flush=True)
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
