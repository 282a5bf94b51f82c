"""What describes a model: its .json, its kind by names of weights; knows no tensors, so it needs no torch."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audio.errors import ModelError

FORMAT = 1
KINDS = ("encoder", "synthesizer", "vocoder")
WEIGHTS_SUFFIX = ".safetensors"
DESCRIPTION_SUFFIX = ".json"
RTVC_SUFFIX = ".pt"
RTVC_ARCHITECTURES: Mapping[str, str] = {"encoder": "speaker_encoder", "synthesizer": "tacotron",
                                         "vocoder": "wavernn"}
KIND_NAMES: Mapping[str, str] = {"encoder": "a speaker encoder", "synthesizer": "a synthesizer",
                                 "vocoder": "a vocoder"}

# State-dict entries that only this network has; few, so that models with other layers are recognised too.
_SIGNATURES: Mapping[str, frozenset[str]] = {
    "encoder": frozenset({"lstm.weight_ih_l0", "lstm.weight_hh_l0", "linear.weight", "linear.bias"}),
    "synthesizer": frozenset({"encoder.embedding.weight", "decoder.attn_rnn.weight_ih",
                              "decoder.mel_proj.weight"}),
    "vocoder": frozenset({"upsample.resnet.conv_in.weight", "rnn1.weight_ih_l0", "fc3.weight"}),
}
_FIELDS: Mapping[str, type] = {"kind": str, "architecture": str, "name": str, "config": dict, "card": dict}
_JSON_NAMES: Mapping[type, str] = {str: "a string", dict: "an object"}


def detect_kind(names: Iterable[str]) -> str | None:
    """Kind of the RTVC network that has state-dict entries ``names``; None when it is none of the three."""
    present = set(names)
    for kind, signature in _SIGNATURES.items():
        if signature <= present:
            return kind
    return None


def description_path(path: Path) -> Path:
    """The .json that belongs to a .safetensors file."""
    return path.with_suffix(DESCRIPTION_SUFFIX)


def read_description(path: Path) -> dict[str, Any]:
    """Read and check the .json beside a .safetensors file.

    Returns a dict with "format", "kind", "architecture", "name", "config" and "card".
    Raises ModelError when it is missing, not JSON, of another format or lacks a field.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        weights = path.with_suffix(WEIGHTS_SUFFIX).name
        raise ModelError(f"{path} is missing: a model is two files, {weights} and {path.name}, in one "
                         "folder. Copy both.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}): copy it again from its source.") from error
    return check_description(data, path)


def check_description(data: object, path: Path) -> dict[str, Any]:
    """Check that ``data`` describes a model; ``path`` is named in the ModelError raised otherwise."""
    if not isinstance(data, dict):
        raise ModelError(f"{path} does not describe a model: expected a JSON object, "
                         f"found {type(data).__name__}.")
    if data.get("format") != FORMAT:
        raise ModelError(f"{path} has format {data.get('format')!r}, expected {FORMAT}: it is no model "
                         "description, or it was written by a newer version of this program.")
    for field, expected in _FIELDS.items():
        if not isinstance(data.get(field), expected):
            found = type(data[field]).__name__ if field in data else "nothing"
            raise ModelError(f"{path} does not describe a model: field {field!r} must be "
                             f"{_JSON_NAMES[expected]}, found {found}.")
    if data["kind"] not in KINDS:
        kinds = ", ".join(KINDS)
        raise ModelError(f"{path} describes a model of kind {data['kind']!r}, expected one of {kinds}.")
    return data
