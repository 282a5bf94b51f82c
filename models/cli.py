"""The command ``models list | fetch | verify | info | add | export``: prints what the registry knows."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio.errors import ModelError
from models.description import KINDS, WEIGHTS_SUFFIX
from models.environment import user_models_dir
from models.registry import ModelEntry, ModelRegistry
from models.sums import SUMS_NAME, sha256_of, write_sums

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``models`` to a program's sub-commands."""
    parser = subparsers.add_parser("models", help="list, fetch, verify, describe and export models")
    commands = parser.add_subparsers(dest="models_command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("-m", "--models_dir", type=Path, action="append", default=[], metavar="FOLDER",
                        help="a folder of models to search first; may be repeated")
    command = commands.add_parser("list", parents=[shared], help="what is installed and what can be fetched")
    command.add_argument("--kind", choices=KINDS, help="only models of this kind")
    command = commands.add_parser("fetch", parents=[shared], help="download a model of the catalogue")
    command.add_argument("name", nargs="+", metavar="NAME", help="a name that 'models list' shows")
    command = commands.add_parser("verify", parents=[shared], help="check every installed model")
    command.add_argument("--record", type=Path, metavar="FOLDER",
                         help=f"instead: write {SUMS_NAME} for the models of this folder")
    command = commands.add_parser("info", parents=[shared], help="describe a model")
    command.add_argument("file", metavar="FILE", help="a model file, or a name that 'models list' shows")
    command = commands.add_parser("add", parents=[shared], help="install a model file, of a training for instance")
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("name", metavar="NAME", help="the name it gets; a model of that name and kind is replaced")
    command.add_argument("--to", type=Path, metavar="FOLDER", help="default: your own folder of models")
    command.add_argument("--half", action="store_true", help="store weights as float16: half the size")
    command.add_argument("--card", action="append", default=[], metavar="KEY=TEXT", help="add a line to its card")
    command = commands.add_parser("export", parents=[shared], help="write a model as a .pt of RTVC")
    command.add_argument("name", metavar="NAME", help="a name that 'models list' shows, or a model file")
    command.add_argument("output", type=Path, metavar="OUT.pt")
    for command in (commands.choices["info"], commands.choices["export"]):
        command.add_argument("--kind", choices=KINDS, help="of which kind, when the name alone is not enough")


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status: 1 when ``verify`` found something wrong, or on an error."""
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list, "fetch": _fetch, "verify": _verify, "info": _info, "add": _add, "export": _export,
    }
    try:
        return commands[args.models_command](args)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1


def _list(args: argparse.Namespace) -> int:
    rows = [("NAME", "KIND", "NETWORK", "SIZE", "", "WHERE")]
    for entry in ModelRegistry(args.models_dir).list(args.kind):
        state, where = ("installed", str(entry.path)) if entry.installed else ("to fetch", entry.title)
        rows.append((_shown_name(entry), entry.kind, entry.architecture, _megabytes(entry.size), state, where))
    _print_table(rows)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    registry = ModelRegistry(args.models_dir)
    for name in args.name:
        with _progress_bar(name, "B") as progress:
            entries = registry.fetch(name, progress)
        for entry in entries:
            print(f"{entry.full_name}: {entry.path}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    if args.record is not None:
        return _record(args.record)
    with _progress_bar("verify", "model") as progress:
        verdicts = ModelRegistry(args.models_dir).verify(progress)
    _print_table([(v.status, v.entry.full_name, v.message) for v in verdicts])
    wrong = sum(verdict.status != "ok" for verdict in verdicts)
    print(f"{len(verdicts)} models, {wrong} with a problem" if wrong else f"{len(verdicts)} models, all well")
    return 1 if wrong else 0


def _record(folder: Path) -> int:
    weights = sorted(folder.glob(f"*{WEIGHTS_SUFFIX}"))
    names = [path.name for path in weights] + [path.with_suffix(".json").name for path in weights]
    missing = [name for name in names if not (folder / name).is_file()]
    if not names or missing:
        raise ModelError(f"{folder} does not hold complete models: " + (", ".join(missing) or "no .safetensors")
                         + " not found.")
    print(write_sums(folder, names))
    return 0


def _info(args: argparse.Namespace) -> int:
    from models.checkpoint import half_error, read_checkpoint

    entry = ModelRegistry(args.models_dir).find(args.file, args.kind)
    checkpoint = read_checkpoint(entry.path, args.kind)
    rows = [
        ("file", str(checkpoint.path)),
        ("kind", checkpoint.kind),
        ("network", checkpoint.architecture),
        ("format", checkpoint.format),
        ("step", f"{checkpoint.step:,}"),
        ("values", _count_values(checkpoint)),
        ("size", f"{checkpoint.path.stat().st_size:,} bytes"),
        ("SHA-256", sha256_of(checkpoint.path)),
    ]
    loss = half_error(checkpoint.state)
    if loss.n_values:
        rows.append(("as float16", f"largest relative error {loss.max_relative:.1e}, absolute {loss.max_absolute:.1e}"))
    for title, values in (("config", checkpoint.config or {}), ("card", checkpoint.card)):
        rows += [(f"{title}.{key}", _shorten(value)) for key, value in values.items()]
    _print_table(rows)
    return 0


def _add(args: argparse.Namespace) -> int:
    from models.checkpoint import read_checkpoint, write_checkpoint

    checkpoint = read_checkpoint(args.file)
    if checkpoint.config is None:
        raise ModelError(f"{args.file} is a model of RTVC: put it into a folder as {args.name}/{checkpoint.kind}.pt.")
    if not args.name or Path(args.name).name != args.name:
        raise ModelError(f'"{args.name}" cannot be the name of a model: give a plain name.')
    card = checkpoint.card | dict(line.partition("=")[::2] for line in args.card)
    path = write_checkpoint(
        (args.to or user_models_dir()) / args.name / checkpoint.kind,
        kind=checkpoint.kind,
        architecture=checkpoint.architecture,
        config=checkpoint.config,
        state=checkpoint.state,
        card=card,
        half=args.half,
        name=args.name,
    )
    print(path)
    return 0


def _export(args: argparse.Namespace) -> int:
    from models.checkpoint import export_rtvc, read_checkpoint

    entry = ModelRegistry(args.models_dir).find(args.name, args.kind)
    print(export_rtvc(read_checkpoint(entry.path, args.kind), args.output))
    return 0


def _shown_name(entry: ModelEntry) -> str:
    # What can be fetched is shown by the name that fetches it.
    return entry.name if entry.installed else entry.full_name


def _count_values(checkpoint: "Checkpoint") -> str:
    by_type: dict[str, int] = {}
    for tensor in checkpoint.state.values():
        name = str(tensor.dtype).removeprefix("torch.")
        by_type[name] = by_type.get(name, 0) + tensor.numel()
    return f"{len(checkpoint.state)} tensors: " + ", ".join(f"{n:,} {name}" for name, n in by_type.items())


def _shorten(value: Any, limit: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _progress_bar(label: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A ``progress(done, total)`` that draws a bar; None where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=label, unit=unit, unit_scale=unit == "B", unit_divisor=1000, leave=False) as bar:
        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.n = done
            bar.refresh() if done == total else bar.update(0)

        yield progress
