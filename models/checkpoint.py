"""Reading and writing of weights: the only torch.save and torch.load; builds no network, knows no folders."""

import json
import logging
import os
import pickle
import pickletools
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from audio.errors import ModelError
from models.description import (
    DESCRIPTION_SUFFIX,
    FORMAT,
    KIND_NAMES,
    KINDS,
    RTVC_ARCHITECTURES,
    WEIGHTS_SUFFIX,
    check_description,
    description_path,
    detect_kind,
    read_description,
)
from models.rtvc_layout import find_differences, rtvc_layout

logger = logging.getLogger(__name__)

_METADATA_KEY = "description"
_SHOWN = 3
_PLAIN_TYPES = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)
_AGAIN = "Download or copy it again."


@dataclass(frozen=True)
class Checkpoint:
    """A model read from disk; ``state`` maps state-dict names to CPU tensors (floats, integer buffers).

    ``config`` is None for RTVC files, which carry none; ``format`` is "safetensors" or "rtvc".
    """

    kind: str
    architecture: str
    config: dict[str, Any] | None
    state: dict[str, Tensor] = field(repr=False)
    step: int
    card: dict[str, Any]
    path: Path
    format: str


@dataclass(frozen=True)
class HalfError:
    """What storing float32 weights as float16 changes: the largest relative and absolute error of a value."""

    max_relative: float
    max_absolute: float
    n_values: int


def read_checkpoint(path: Path | str, expected_kind: str | None = None) -> Checkpoint:
    """Read a model: .safetensors with its .json, or a file of the original RTVC program (.pt, .bak, ...).

    Nothing in the file is ever run. Large RTVC files are mapped, so that optimizer state costs no memory.
    Raises ModelError, naming the file and what was expected, when it is missing, broken, of another kind than
    ``expected_kind``, carries code or holds weights that are NaN or infinite.
    """
    path = Path(path)
    if path.suffix == DESCRIPTION_SUFFIX:
        path = path.with_suffix(WEIGHTS_SUFFIX)
    head = _read_head(path, expected_kind)
    if path.suffix == WEIGHTS_SUFFIX:
        checkpoint = _read_safetensors(path, head)
    else:
        checkpoint = _read_rtvc(path, head, expected_kind)
    if expected_kind is not None and checkpoint.kind != expected_kind:
        raise ModelError(
            f"{path} is {KIND_NAMES[checkpoint.kind]}, but {_expected(expected_kind)} was expected here."
        )
    _check_tensors(checkpoint.state, path)
    return checkpoint


def write_checkpoint(
    path: Path | str,
    *,
    kind: str,
    architecture: str,
    config: dict[str, Any],
    state: Mapping[str, Tensor],
    card: dict[str, Any],
    half: bool = False,
    name: str | None = None,
) -> Path:
    """Write ``path``.safetensors and ``path``.json; a killed run leaves the old model or the new one.

    half: store float32 weights of two or more axes as float16. Vectors (biases, batch norm statistics) stay
    float32, being small and the most easily hurt, and so do tensors that overflow. See `half_error`.
    Returns the path of the .safetensors. Raises ModelError for non-finite weights or when the disk refuses.
    """
    weights = _weights_path(Path(path))
    description = {"format": FORMAT, "kind": kind, "architecture": architecture,
                   "name": name or card.get("name") or weights.stem, "config": config, "card": card}
    description = check_description(json.loads(json.dumps(description)), description_path(weights))
    tensors = {}
    for key, tensor in state.items():
        tensor = tensor.detach().to("cpu")
        if half and _stored_half(tensor):
            tensor = tensor.to(torch.float16)
        # Cloned because safetensors refuses tensors that share memory, as the weights of an LSTM on a GPU do.
        tensors[key] = tensor.clone(memory_format=torch.contiguous_format)
    _check_tensors(tensors, weights)
    identity = {key: description[key] for key in ("kind", "architecture", "config")}
    with _replacing(weights) as new_weights, _replacing(description_path(weights)) as new_description:
        safetensors.torch.save_file(tensors, new_weights, metadata={_METADATA_KEY: json.dumps(identity)})
        text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
        new_description.write_text(text, encoding="utf-8")
        # safetensors writes files that their owner alone may read, which shuts out the others of a shared machine.
        new_weights.chmod(new_description.stat().st_mode)
    return weights


def half_error(state: Mapping[str, Tensor]) -> HalfError:
    """What `write_checkpoint` with ``half`` would lose.

    The relative error is taken over values above 1e-4: float16 keeps its 11 bits only down to 6.1e-5.
    """
    relative, absolute, count = 0.0, 0.0, 0
    for tensor in state.values():
        if not _stored_half(tensor) or tensor.numel() == 0:
            continue
        exact = tensor.detach().to("cpu")
        error = (exact.to(torch.float16).to(torch.float32) - exact).abs()
        large = exact.abs() > 1e-4
        absolute = max(absolute, error.max().item())
        if large.any():
            relative = max(relative, (error[large] / exact[large].abs()).max().item())
        count += tensor.numel()
    return HalfError(relative, absolute, count)


def export_rtvc(checkpoint: Checkpoint, path: Path | str) -> Path:
    """Write ``checkpoint`` as a .pt that the original RTVC program loads.

    Raises ModelError naming the sizes when they are not RTVC's fixed ones, as that program has no other.
    """
    path = Path(path)
    layout = rtvc_layout(checkpoint.kind)
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.state.items()}
    differences = find_differences(checkpoint.kind, checkpoint.architecture, checkpoint.config or {}, shapes)
    if differences:
        raise ModelError(f"{checkpoint.path} cannot be exported for RTVC, whose {checkpoint.kind} has fixed "
                         f"sizes and settings: {_first(differences)}.")
    # Counters are not learnt: a network trained here may do without them, RTVC's loader wants every name.
    counters = {entry.name: torch.zeros(entry.shape) for entry in layout if entry.is_counter}
    own: dict[str, Tensor] = {**counters, "step": torch.tensor([checkpoint.step]), **checkpoint.state}
    state = {entry.name: own[entry.name].to("cpu", getattr(torch, entry.dtype)).clone() for entry in layout}
    content: dict[str, Any] = {"model_state": state}
    if checkpoint.kind == "encoder":
        content = {"step": checkpoint.step, **content}
    _torch_save(content, path)
    return path


def load_state(network: nn.Module, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Copy ``state`` into ``network``; half precision becomes the network's precision.

    Raises ModelError naming ``path`` and the first differences when names or shapes are not the network's.
    ``num_batches_tracked`` may be absent: nothing reads it.
    """
    own = network.state_dict()
    problems = []
    for name, tensor in own.items():
        if name not in state:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"{name} is missing (expected {_shape(tensor)})")
        elif state[name].shape != tensor.shape:
            problems.append(f"{name} is {_shape(state[name])}, expected {_shape(tensor)}")
        elif state[name].is_floating_point() != tensor.is_floating_point():
            problems.append(f"{name} holds {_dtype(state[name])}, expected {_dtype(tensor)}")
    problems += [f"{name} is unknown to this network" for name in state if name not in own]
    if problems:
        raise ModelError(f"{path} does not fit {type(network).__name__}: {_first(problems)}. "
                         "It is another model or was made with other settings.")
    network.load_state_dict({**own, **state})


def save_training_state(path: Path | str, state: dict[str, Any]) -> None:
    """Write what a training needs to go on: nested dicts, lists, tuples of tensors and plain Python values.

    The previous file stands until the new one is complete and flushed to the disk. Raises ModelError when the
    disk refuses, TypeError for a value that `load_training_state` could not read back.
    """
    _check_plain(state, "state")
    _torch_save(state, Path(path))


def load_training_state(path: Path | str) -> dict[str, Any]:
    """Read what `save_training_state` wrote, to the CPU. Raises ModelError when missing, broken or code."""
    path = Path(path)
    head = _read_head(path, None)
    content = _torch_load(path, head, "the state of a training", mmap=False)
    if not isinstance(content, dict):
        found = type(content).__name__
        raise ModelError(f"{path} is not the state of a training: expected a dict, found {found}.")
    return content


def _read_safetensors(path: Path, head: bytes) -> Checkpoint:
    description = read_description(description_path(path))
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(_unreadable(path, head, "a safetensors file", error)) from error
    _check_match(path, description, metadata, state)
    card = description["card"]
    return Checkpoint(
        kind=description["kind"], architecture=description["architecture"], config=description["config"],
        state=state, step=_step(card.get("step"), state), card=card, path=path, format="safetensors",
    )


def _check_match(
    path: Path, description: dict[str, Any], metadata: Mapping[str, str], state: Mapping[str, Tensor]
) -> None:
    mismatch = f"{description_path(path)} does not belong to {path.name}: "
    advice = ". Copy both files from the same model."
    try:
        written = json.loads(metadata.get(_METADATA_KEY, "{}"))
    except (ValueError, RecursionError):
        written = {}
    if isinstance(written, dict):
        for key, value in written.items():
            if key in description and description[key] != value:
                detail = "" if key == "config" else f" ({description[key]!r} against {value!r})"
                raise ModelError(f"{mismatch}its {key} is not the one saved with the weights"
                                 f"{detail}{advice}")
    detected = detect_kind(state)
    if detected is not None and detected != description["kind"]:
        described = KIND_NAMES[description["kind"]]
        raise ModelError(f"{mismatch}it describes {described}, but the weights are those of "
                         f"{KIND_NAMES[detected]}{advice}")


def _read_rtvc(path: Path, head: bytes, expected_kind: str | None) -> Checkpoint:
    content = _torch_load(path, head, _expected(expected_kind), mmap=True)
    state = content.get("model_state", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        raise ModelError(f"{path} holds no model: expected {_expected(expected_kind)} of RTVC "
                         "with a 'model_state'.")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    kind = detect_kind(state)
    if kind is None:
        names = ", ".join(list(state)[:_SHOWN])
        raise ModelError(f"{path} is not one of RTVC's three networks (its entries begin with {names}): "
                         f"expected {_expected(expected_kind)}.")
    own = content.get("step") if state is not content else None
    return Checkpoint(kind=kind, architecture=RTVC_ARCHITECTURES[kind], config=None, state=dict(state),
                      step=_step(own, state), card={}, path=path, format="rtvc")


def _torch_load(path: Path, head: bytes, expected: str, mmap: bool) -> Any:
    try:
        # Files of before torch 1.6, such as the public encoder.pt, are no zip archives and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and head.startswith(b"PK"))
    except MemoryError:
        raise
    except Exception as error:  # broken bytes make the unpickler raise nearly any type
        raise ModelError(_unreadable(path, head, expected, error)) from error


def _torch_save(content: dict[str, Any], path: Path) -> None:
    with _replacing(path) as new:
        torch.save(content, new)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write; it takes the place of ``path`` once complete and on the disk."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield new
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
        _sync_folder(path.parent)
    # torch and safetensors report a full disk by a RuntimeError and a SafetensorError.
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} cannot be written ({error}): check the free space and the permissions of "
                         f"{path.parent}. Nothing was changed.") from error
    finally:
        with suppress(OSError):
            new.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_head(path: Path, expected_kind: str | None) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, expected the file of {_expected(expected_kind)}.")
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist: expected the file of {_expected(expected_kind)}. "
                         "'python -m toolbox models list' shows the models at hand.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise ModelError(f"{path} is empty, expected {_expected(expected_kind)}. {_AGAIN}")
    return head


def _unreadable(path: Path, head: bytes, expected: str, error: Exception) -> str:
    logger.debug("reading %s failed", path, exc_info=error)
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path} is a web page, not {expected}: the download went wrong. {_AGAIN}"
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of git-lfs, not {expected}: run 'git lfs pull' or download the file."
    if isinstance(error, pickle.UnpicklingError) and _carries_code(str(error), path):
        return (f"{path} asks to run code while it is read, which models never need: it was refused and "
                f"nothing in it was run. Expected {expected} that holds tensors only; get it from a source "
                "that you trust.")
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return f"{path} is cut short ({path.stat().st_size:,} bytes), expected {expected}. {_AGAIN}"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return f"{path} is a text file, expected {expected}. {_AGAIN}"
    return f"{path} is broken or cut short ({path.stat().st_size:,} bytes), expected {expected}. {_AGAIN}"


def _carries_code(message: str, path: Path) -> bool:
    if "Unsupported operand" in message and not zipfile.is_zipfile(path):
        # A bare pickle of a newer protocol than torch reads: look for an import in it, without running it.
        with path.open("rb") as file, suppress(ValueError):
            return any(code.name in ("GLOBAL", "STACK_GLOBAL", "INST") for code, _, _ in pickletools.genops(file))
    # Phrases of torch's weights-only unpickler for a global, a call or a class outside its list.
    return any(phrase in message for phrase in ("GLOBAL", "Unsupported global", "Unsupported class",
                                                "Trying to call reduce", "Trying to load unsupported",
                                                "Can only build", "Can only create new object"))


def _check_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in state.items():
        plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided
        if not plain or tensor.is_quantized or tensor.is_meta:
            raise ModelError(f"{path} holds something else than a plain tensor at {name!r}: it is no model "
                             "of this program.")
        # An expanded view claims any size from a few bytes; reading it would fill the memory.
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            claimed = _shape(tensor)
            raise ModelError(f"{path} holds less data at {name!r} than its shape {claimed} claims. {_AGAIN}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path} has values that are NaN or infinite at {name!r}: the training that "
                             "made it diverged, or the file is damaged. Use an earlier checkpoint.")


def _check_plain(value: object, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif not isinstance(value, Tensor) and type(value) not in _PLAIN_TYPES:
        raise TypeError(f"{where} is a {type(value).__name__}, which a training state cannot hold: "
                        "use tensors and plain Python values")


def _stored_half(tensor: Tensor) -> bool:
    return (tensor.dtype == torch.float32 and tensor.dim() >= 2
            and (tensor.numel() == 0 or tensor.detach().abs().max().item() <= torch.finfo(torch.float16).max))


def _weights_path(path: Path) -> Path:
    if path.suffix in (WEIGHTS_SUFFIX, DESCRIPTION_SUFFIX):
        return path.with_suffix(WEIGHTS_SUFFIX)
    return path.with_name(path.name + WEIGHTS_SUFFIX)


def _step(own: object, state: Mapping[str, Tensor]) -> int:
    if isinstance(own, int):
        return own
    counter = state.get("step")
    if isinstance(counter, Tensor) and counter.numel() == 1:
        return int(counter.item())
    return 0


def _expected(kind: str | None) -> str:
    if kind is None:
        return "a model"
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
    return KIND_NAMES[kind]


def _first(problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
