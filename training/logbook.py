"""What a training reports: log.csv, TensorBoard events, PNG plots, console, settings; knows no network."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import math
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from training.files import write_text
from training.plots import loss_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_FIXED_COLUMNS = ("step", "phase", "loss", "lr", "grad_norm", "steps_per_s")


class Averages:
    """Means of named values; tensors stay on their device until they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._skipped = 0

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Count one more value of each name."""
        for name, value in values.items():
            plain = value.detach().float() if isinstance(value, Tensor) else float(value)
            self._sums[name] = self._sums.get(name, 0.0) + plain
            self._counts[name] = self._counts.get(name, 0) + 1

    def skip(self) -> None:
        """Count a step that gave no values."""
        self._skipped += 1

    def means(self) -> dict[str, float]:
        """Mean by name, with the number of skipped steps when there are any."""
        result = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        return {**result, "skipped_steps": float(self._skipped)} if self._skipped else result


class CsvLog:
    """One row a record in a CSV file that is cut back to the step that a training resumes from."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                # A row that a kill cut short has no usable step; rows after the saved step will come again.
                self.rows = [row for row in csv.DictReader(file) if _row_step(row) <= step]
        self._columns = list(_FIXED_COLUMNS)
        self._extend_columns(self.rows)
        self._rewrite()

    def add(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        """Append a row; floats are written so that reading them gives the same bits."""
        row = {
            "step": str(step),
            "phase": phase,
            **{name: repr(float(value)) for name, value in values.items()},
        }
        self.rows.append(row)
        if self._extend_columns([row]):
            self._rewrite()
            return
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def series(self, phase: str, column: str) -> tuple[list[int], list[float]]:
        """Steps and values of one column."""
        pairs = [(int(r["step"]), float(r[column])) for r in self.rows if r["phase"] == phase and r.get(column)]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def _extend_columns(self, rows: Sequence[Mapping[str, str]]) -> bool:
        new = {name: None for row in rows for name in row if name not in self._columns}
        self._columns += list(new)
        return bool(new)

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def _row_step(row: Mapping[str | None, Any]) -> float:
    complete = None not in row and None not in row.values()
    step = row.get("step") or ""
    return int(step) if complete and step.isdigit() else math.inf


class Logbook:
    """Writes a run's log in ``run_dir``; an inactive one (a process that is not the main one) does nothing.

    On a terminal a progress bar shows loss and speed; elsewhere the log lines do.
    """

    def __init__(self, run_dir: Path, step: int, last_step: int, *, active: bool = True) -> None:
        self.run_dir = run_dir
        self._active = active
        self._first_step, self._last_step = step, last_step
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Logbook:
        self._csv = CsvLog(self.run_dir / "log.csv", self._first_step) if self._active else None
        self._events = _event_writer(self.run_dir / "events", self._first_step) if self._active else None
        self._bar = None
        if self._active and sys.stderr.isatty():
            from tqdm import tqdm
            from tqdm.contrib.logging import logging_redirect_tqdm

            self._stack.enter_context(logging_redirect_tqdm())
            self._bar = tqdm(initial=self._first_step, total=self._last_step, unit="step", dynamic_ncols=True)
            self._stack.callback(self._bar.close)
        if self._events is not None:
            self._stack.callback(self._events.close)
        self._mark = (self._first_step, time.monotonic())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Time spent inside does not count as training in steps/s."""
        before = time.monotonic()
        yield
        step, since = self._mark
        self._mark = (step, since + time.monotonic() - before)

    def step(self) -> None:
        """One more step is done."""
        if self._bar is not None:
            self._bar.update()

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """Mean values of the steps since the last such record."""
        if self._csv is None:
            return
        last_step, last_time = self._mark
        self._mark = (step, time.monotonic())
        speed = (step - last_step) / max(self._mark[1] - last_time, 1e-9)
        self._record(step, "train", {**values, "steps_per_s": speed})
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{values.get('loss', math.nan):.4g}", refresh=False)
        else:
            logger.info("step %d/%d  %s  %.3g steps/s", step, self._last_step, _in_words(values), speed)

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Mean values of the validation batches."""
        self._record(step, "validation", values)
        logger.info("step %d  validation  %s", step, _in_words(values))

    def pictures(self, step: int, figures: Mapping[str, Figure], samples: Mapping[str, tuple[np.ndarray, int]]) -> None:
        """Figures as plots/<name>-<step>.png and events, sounds as events, loss curves as plots/loss.png."""
        if self._csv is None:
            return
        plots = self.run_dir / "plots"
        for name, figure in figures.items():
            save_figure(plots / f"{name}-{step:07d}.png", figure)
            if self._events is not None:
                self._events.add_figure(name, figure, step, close=False)
        if self._events is not None:
            for name, (wav, sample_rate) in samples.items():
                self._events.add_audio(name, np.asarray(wav)[None, :], step, sample_rate)
        curves = {phase: self._csv.series(phase, "loss") for phase in ("train", "validation")}
        save_figure(plots / "loss.png", loss_figure(curves))

    def _record(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        if self._csv is None:
            return
        self._csv.add(step, phase, values)
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{name}/{phase}", value, step)


def _in_words(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def _event_writer(folder: Path, step: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("No TensorBoard events are written: `pip install tensorboard` if they are wanted.")
        return None
    # Events of steps that a kill took back are hidden.
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def remove_run_files(run_dir: Path) -> None:
    """Remove what resuming would go on from; exported models stay until new ones replace them."""
    for name in ("last.pt", "log.csv", "train_config.json"):
        (run_dir / name).unlink(missing_ok=True)
    for folder in ("events", "plots"):
        shutil.rmtree(run_dir / folder, ignore_errors=True)


def write_run_record(run_dir: Path, record: Mapping[str, Any], step: int, changed: Mapping[str, Any]) -> None:
    """Write train_config.json: settings, versions, and each start with its command and what it changed."""
    path = run_dir / "train_config.json"
    starts: list[Any] = []
    if step and path.is_file():
        try:
            starts = json.loads(path.read_text(encoding="utf-8")).get("starts", [])
        except ValueError:
            logger.warning("%s is not readable JSON and is written anew.", path)
    starts.append({"step": step, "changed": dict(changed), "command": portable_command(sys.orig_argv)})
    content = {**record, "versions": _versions(), "starts": starts}
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def portable_command(argv: Sequence[str]) -> str:
    """The command line without the absolute paths of this machine: only their last part is kept."""
    words = []
    for index, word in enumerate(argv):
        flag, equals, value = word.rpartition("=")
        if index == 0 or Path(value).is_absolute():
            value = Path(value).name
        words.append(flag + equals + value)
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy"):
        found[name] = metadata.version(name)
    return found
