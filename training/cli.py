"""Command-line flags of the trainings and ``--set key=value`` on config dataclasses; knows no network."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from audio.errors import Cancelled, ToolboxError, TrainingError
from training.trainer import TrainerConfig

ConfigT = TypeVar("ConfigT")


def add_training_arguments(parser: argparse.ArgumentParser, data_help: str = "folder of the training data") -> None:
    """Add the flags that the three train commands share."""
    parser.add_argument(
        "run_id",
        help="name of the training; its files go to MODELS_DIR/RUN_ID, and a training "
        "of that name that was stopped goes on",
    )
    parser.add_argument("data_root", type=Path, help=data_help)
    parser.add_argument("-m", "--models_dir", type=Path, default=Path("saved_models"), help="default: saved_models")
    parser.add_argument("-s", "--save_every", type=int, metavar="N", help="steps between saves of the training")
    parser.add_argument(
        "-b",
        "--backup_every",
        type=int,
        metavar="N",
        help="steps between models that are kept for good; 0 keeps none",
    )
    parser.add_argument("-v", "--validate_every", type=int, metavar="N", help="steps between validations")
    parser.add_argument(
        "-f",
        "--force_restart",
        action="store_true",
        help="start anew instead of going on from the saved training",
    )
    parser.add_argument("--steps", type=int, help="train up to this step")
    parser.add_argument("--max_minutes", type=float, metavar="M", help="save and stop after so many minutes")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="cpu, cuda or cuda:N; default: the best there is")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: torch's choice")
    parser.add_argument("--amp", choices=("off", "bf16"), help="bf16 mixed precision, on CPU and GPU")
    add_set_argument(parser)
    add_verbose_argument(parser)


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a setting; repeat for more. Lists are JSON: --set lr=[[0,0.001],[20000,0.0005]]",
    )


def add_verbose_argument(parser: argparse.ArgumentParser) -> None:
    """Add --verbose."""
    parser.add_argument("--verbose", action="store_true", help="show debug messages and tracebacks")


def trainer_config(args: argparse.Namespace, base: TrainerConfig) -> TrainerConfig:
    """``base`` with the shared flags that were given; --set is applied by the caller, see apply_overrides."""
    names = {field.name for field in dataclasses.fields(base)}
    given = {name: value for name, value in vars(args).items() if name in names and value is not None}
    return dataclasses.replace(base, **given)


def run_dir(args: argparse.Namespace) -> Path:
    """Folder of this training.

    Raises:
        TrainingError: the run name is not a plain folder name.
    """
    if args.run_id in ("", "..") or Path(args.run_id).name != args.run_id:
        raise TrainingError(f'"{args.run_id}" cannot be a run name: give a plain name; -m says where it lies.')
    return args.models_dir / args.run_id


def run_command(command: Callable[[], int | None], verbose: bool = False) -> int:
    """Exit status of a command run with logging; errors fit for users become one line on stderr."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for noisy in ("matplotlib", "numba", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return command() or 0
    except ToolboxError as error:
        if verbose:
            logging.getLogger(__name__).exception("Failed")
        sys.stderr.write(f"{error}\n")
        return 1
    except (KeyboardInterrupt, Cancelled):
        sys.stderr.write("Stopped.\n")
        return 130


def apply_overrides(config: ConfigT, overrides: Sequence[str]) -> ConfigT:
    """A copy of a config dataclass with ``key=value`` settings, each parsed by the type of its field.

    Dots reach into configs within: "mel.n_fft=1024". Tuples, lists and dicts are JSON. "none" clears an
    optional field. All are set at once, so that those that must fit each other may come in any order.

    Raises:
        TrainingError: an unknown key (the valid ones are listed) or a value of another type.
    """
    return _replaced(config, [(key, key.split("."), value) for key, value in map(_split_override, overrides)])


def apply_overrides_to(configs: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Copies of several named configs with settings; a key that more than one has needs the name:
    "model.lr=1".

    Raises:
        TrainingError: as apply_overrides, or a key that is ambiguous.
    """
    changes: dict[str, list[_Change]] = {name: [] for name in configs}
    for key, value in map(_split_override, overrides):
        first, _, rest = key.partition(".")
        if first in configs and rest:
            changes[first].append((key, rest.split("."), value))
            continue
        owners = [name for name, config in configs.items() if first in _field_names(config)]
        if not owners:
            raise TrainingError(f'There is no setting "{key}". {_known(configs)}')
        if len(owners) > 1:
            choices = " or ".join(f"{name}.{key}" for name in owners)
            raise TrainingError(f'More than one part has a setting "{key}": write {choices}.')
        changes[owners[0]].append((key, key.split("."), value))
    return {name: _replaced(config, changes[name]) for name, config in configs.items()}


def _known(configs: Mapping[str, Any]) -> str:
    parts = (f"{name}: {', '.join(_field_names(config))}" for name, config in configs.items())
    return "Settings are: " + "; ".join(parts) + "."


def _field_names(config: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(config) if field.init]


def _split_override(override: str) -> tuple[str, str]:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise TrainingError(f'"{override}" is not a setting: write --set key=value.')
    return key.strip(), value.strip()


_Change = tuple[str, Sequence[str], str]
"""A setting as it was written, its path within a config, and its value."""


def _replaced(config: ConfigT, changes: Sequence[_Change]) -> ConfigT:
    values: dict[str, Any] = {}
    within: dict[str, list[_Change]] = {}
    for key, path, value in changes:
        name = path[0]
        if name not in _field_names(config):
            raise TrainingError(f'There is no setting "{key}". Settings are: {", ".join(_field_names(config))}.')
        if len(path) > 1:
            if not dataclasses.is_dataclass(getattr(config, name)):
                raise TrainingError(f'"{name}" of "{key}" has no settings of its own: write --set {name}=value.')
            within.setdefault(name, []).append((key, path[1:], value))
            continue
        annotation = typing.get_type_hints(type(config))[name]
        try:
            values[name] = _parse(value, annotation)
        except (ValueError, TypeError):
            raise TrainingError(f"{key}={value}: expected {_type_name(annotation)}.") from None
    values |= {name: _replaced(values.get(name, getattr(config, name)), inner) for name, inner in within.items()}
    try:
        return dataclasses.replace(config, **values)  # type: ignore[type-var]
    except ValueError as error:
        written = ", ".join(f"{key}={value}" for key, _, value in changes)
        raise TrainingError(f"{written}: {error}") from error


def _parse(text: str, annotation: Any) -> Any:
    """A value of the annotated type from a command line; ValueError when it is none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and text.lower() in ("none", "null"):
            return None
        return _first_that_fits(lambda choice: _parse(text, choice), [a for a in arguments if a is not type(None)])
    if annotation is str:
        return text
    if origin is typing.Literal:
        return _first_that_fits(lambda choice: _same(_parse(text, type(choice)), choice), arguments)
    if annotation is bool:
        return {"true": True, "1": True, "yes": True, "on": True}.get(text.lower(), False) or _false(text)
    if annotation in (int, float):
        return annotation(text)
    if annotation is Path:
        return Path(text)
    return _convert(json.loads(text), annotation)


def _convert(value: Any, annotation: Any) -> Any:
    """A value from JSON as the annotated type; ValueError when it does not fit."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(lambda choice: _convert(value, choice), arguments)
    if origin is typing.Literal:
        return _first_that_fits(lambda choice: _same(value, choice), arguments)
    if annotation is Any:
        return value
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (origin or annotation) in (tuple, list):
        if not isinstance(value, list):
            raise ValueError
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return tuple(_convert(v, a) for v, a in zip(value, arguments, strict=True))
        element = arguments[0] if arguments else Any
        return (origin or annotation)(_convert(v, element) for v in value)
    if (origin or annotation) is dict and isinstance(value, dict):
        element = arguments[1] if arguments else Any
        return {key: _convert(v, element) for key, v in value.items()}
    if dataclasses.is_dataclass(annotation) and isinstance(value, dict):
        hints = typing.get_type_hints(annotation)
        values = {name: _convert(v, hints[name]) for name, v in value.items() if name in hints}
        return typing.cast(type, annotation)(**values)
    if (
        isinstance(annotation, type)
        and isinstance(value, annotation)
        and (annotation is bool or not isinstance(value, bool))
    ):
        return value
    raise ValueError


def _first_that_fits(convert: Callable[[Any], Any], choices: Sequence[Any]) -> Any:
    for choice in choices:
        try:
            return convert(choice)
        except (ValueError, TypeError):
            continue
    raise ValueError


def _same(value: Any, wanted: Any) -> Any:
    if value != wanted or type(value) is not type(wanted):
        raise ValueError
    return value


def _false(text: str) -> bool:
    if text.lower() not in ("false", "0", "no", "off"):
        raise ValueError
    return False


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    if annotation is bool:
        return "true or false"
    name = annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    if (typing.get_origin(annotation) or annotation) in (tuple, list, dict):
        return f"{name} as JSON, like [1, 2]"
    return name
