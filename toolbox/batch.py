"""Many texts from a CSV file with the models loaded once; knows no argument parsing and opens no sound
device."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audio.errors import ToolboxError
from toolbox.pipeline import Progress, Speech, VoiceCloner
from toolbox.provenance import Provenance, parse_metadata, voice_id

COLUMNS = ("reference", "text", "output")
OPTIONAL_COLUMNS = ("seed",)
REFERENCE_SEPARATOR = ";"

log = logging.getLogger(__name__)


class JobsError(ToolboxError):
    """A jobs file that cannot be read, or a row of it that cannot be done."""


@dataclass(frozen=True)
class Job:
    """A row: what to say, in whose voice, into which file."""

    row: int
    """Line of the row's end in the file, counted from 1 as editors do."""
    references: tuple[Path, ...]
    text: str
    output: Path
    seed: int | None


@dataclass(frozen=True)
class BatchSummary:
    """What became of the rows."""

    done: int
    skipped: int
    failures: tuple[tuple[int, str], ...]
    """(line, reason) of each row that failed."""

    def __str__(self) -> str:
        return f"{self.done} written, {self.skipped} already there, {len(self.failures)} failed"


def read_jobs(path: Path, seed: int | None = None) -> list[Job | tuple[int, str]]:
    """Rows of a jobs file in order: a ``Job``, or (line, what is wrong) for a row that cannot be one.

    The file is CSV in UTF-8 with the header ``reference,text,output`` and, if wanted, ``seed``. Relative
    paths count from the file's folder; several recordings of one voice are separated by ``;``.

    Raises:
        JobsError: no such file, not UTF-8, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            missing = [column for column in COLUMNS if column not in names]
            if missing:
                raise JobsError(f"{path}: the first line must name the columns reference,text,output "
                                f"({', '.join(missing)} missing)")
            reader.fieldnames = names
            jobs: list[Job | tuple[int, str]] = []
            outputs: dict[Path, int] = {}
            for values in reader:
                job = _read_row(values, reader.line_num, path.parent, seed)
                if isinstance(job, Job):
                    first = outputs.setdefault(job.output.resolve(), job.row)
                    if first != job.row:
                        job = (job.row, f"{job.output} is the output of line {first} already")
                jobs.append(job)
            return jobs
    except OSError as error:
        raise JobsError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobsError(f"{path} is not a CSV file in UTF-8: {error}") from error


def _read_row(values: dict, line: int, folder: Path, seed: int | None) -> Job | tuple[int, str]:
    if values.get(None):
        return line, "too many fields: put a text that contains commas in double quotes"
    fields = {name: (values.get(name) or "").strip() for name in (*COLUMNS, *OPTIONAL_COLUMNS)}
    for column in COLUMNS:
        if not fields[column]:
            return line, f"no {column}"
    if fields["seed"]:
        try:
            seed = int(fields["seed"])
        except ValueError:
            return line, f"the seed {fields['seed']!r} is not a whole number"
    parts = [part.strip() for part in fields["reference"].split(REFERENCE_SEPARATOR) if part.strip()]
    if not parts:
        return line, "no reference"
    output = folder / fields["output"]
    return Job(line, tuple(folder / part for part in parts), fields["text"], with_suffix(output), seed)


def with_suffix(output: Path) -> Path:
    """The file to write: ``output``, as .wav when it has no suffix."""
    return output if output.suffix else output.with_name(output.name + ".wav")


def already_done(job: Job, cloner: VoiceCloner, trim_silences: bool = False, speed: float = 1.0) -> bool:
    """Whether the output is there with the mark of this very request.

    Raises:
        JobsError: there is a file that this program did not make; it is left alone.
    """
    from audio.io import read_metadata

    if not job.output.exists():
        return False
    try:
        mark = parse_metadata(read_metadata(job.output))
    except ToolboxError:
        mark = None
    if mark is None:
        raise JobsError(f"{job.output} exists and was not made by this program: move it or name another output")
    wanted = Provenance(
        text=job.text,
        # Any seed will do for a row that names none.
        seed=mark.seed if job.seed is None else job.seed,
        models={model.kind: str(model) for model in cloner.model_info()},
        voice=voice_id(list(job.references)),
        trim_silences=trim_silences,
        speed=speed,
    )
    return mark == wanted


def run_batch(
    jobs: list[Job | tuple[int, str]],
    cloner: VoiceCloner,
    *,
    speed: float = 1.0,
    trim_silences: bool = False,
    progress: Callable[[int], Progress | None] | None = None,
    on_speech: Callable[[Job, Speech], None] | None = None,
    on_failure: Callable[[int, Exception | str], None] | None = None,
) -> BatchSummary:
    """Do the rows one after the other; a row that fails is reported and the next one is done.

    Args:
        progress: given the index of a row, returns the progress callback for it.
        on_speech: called with each result after it is saved.
        on_failure: called with the line and the reason of each failed row.
    """
    done = skipped = 0
    failures: list[tuple[int, str]] = []

    def fail(line: int, reason: Exception | str) -> None:
        failures.append((line, str(reason)))
        if on_failure is not None:
            on_failure(line, reason)

    for index, job in enumerate(jobs):
        if not isinstance(job, Job):
            fail(*job)
            continue
        try:
            if already_done(job, cloner, trim_silences, speed):
                skipped += 1
                continue
            speech = cloner.clone(
                job.text,
                list(job.references),
                seed=job.seed,
                speed=speed,
                trim_silences=trim_silences,
                progress=progress(index) if progress is not None else None,
            )
            job.output.parent.mkdir(parents=True, exist_ok=True)
            speech.save(job.output)
        except (ToolboxError, OSError) as error:
            fail(job.row, error)
            continue
        done += 1
        if on_speech is not None:
            on_speech(job, speech)
    return BatchSummary(done, skipped, tuple(failures))
