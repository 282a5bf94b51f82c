"""The installed models by kind, loaded once a process; knows no speech."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.description import WEIGHTS_SUFFIX, description_path, read_description
from models.registry import ModelRegistry
from models.sums import sha256_of
from vocoder.names import GRIFFIN_LIM, is_griffin_lim


@dataclass(frozen=True)
class Model:
    """A model to measure; Griffin-Lim has no file."""

    kind: str
    name: str
    path: Path | None = None
    sha256: str = ""
    architecture: str = ""
    size: int = 0
    left_out: bool = False
    """Whether its card says that the held-out speakers were not trained on."""
    precision: str = ""
    """Of the weights of a vocoder that speaks sample by sample: one of ``vocoder.config.PRECISIONS``, "" its usual."""


GRIFFIN_LIM_MODEL = Model("vocoder", GRIFFIN_LIM, architecture="no network")


def find_model(registry: ModelRegistry, kind: str, name: str) -> Model:
    """The model of that name or path. Raises ModelError when there is none."""
    if kind == "vocoder" and is_griffin_lim(name):
        return GRIFFIN_LIM_MODEL
    entry = registry.find(name, kind)
    return Model(kind, name, entry.path, sha256_of(entry.path), entry.architecture, entry.size, _left_out(entry.path))


def _left_out(path: Path) -> bool:
    if path.suffix != WEIGHTS_SUFFIX:
        return False
    card = read_description(description_path(path))["card"]
    if card.get("initial"):
        return False  # It knows whom the model was trained on whose weights it began with.
    settings = (card.get("data"), card.get("task"))
    return any(isinstance(part, dict) and part.get("all_speakers") is False for part in settings)


def installed_models(registry: ModelRegistry, kind: str) -> list[Model]:
    """All of a kind, the default first, and Griffin-Lim at the end of the vocoders."""
    found = [find_model(registry, kind, entry.name) for entry in registry.list(kind) if entry.installed]
    return found + [GRIFFIN_LIM_MODEL] * (kind == "vocoder")


@lru_cache(maxsize=8)
def load_model(model: Model) -> Any:
    """A ``VoiceEncoder``, ``Synthesizer`` or ``Vocoder`` on the CPU."""
    from toolbox.pipeline import VoiceCloner

    cloner = VoiceCloner(**{model.kind: str(model.path or model.name)}, device="cpu")
    loaded = getattr(cloner, model.kind)
    if model.precision:
        loaded.precision = model.precision
    return loaded
