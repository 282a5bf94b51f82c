"""The models that the window's workers use: what is chosen, what is loaded, what is here; knows no Qt and no sound."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolbox.pipeline import DEFAULT_MODEL, VoiceCloner
from toolbox.provenance import ModelInfo
from toolbox.reporter import Reporter
from vocoder.names import GRIFFIN_LIM, is_griffin_lim


@dataclass(frozen=True)
class Selection:
    """Models and device that the user chose."""

    encoder: str = DEFAULT_MODEL
    synthesizer: str = DEFAULT_MODEL
    vocoder: str = DEFAULT_MODEL
    device: str | None = None
    """None: the best there is."""

    def name(self, kind: str) -> str:
        return str(getattr(self, kind))


class Models:
    """Loaded models, one of a kind, for the selections that jobs bring; may be used from several threads.

    Args:
        roots: further folders with models.
        cloner: use this one whatever is selected.
    """

    def __init__(self, roots: Sequence[Path] = (), cloner: VoiceCloner | None = None) -> None:
        self._roots = tuple(roots)
        self._fixed = cloner
        self._cloners: dict[str, tuple[tuple[str, str | None], VoiceCloner]] = {}
        self._info: dict[Selection, tuple[ModelInfo, ...]] = {}
        self._lock = threading.Lock()

    def registry(self) -> Any:
        """The ``ModelRegistry`` of these folders."""
        from models.registry import ModelRegistry

        return ModelRegistry(self._roots)

    def cloner(self, kind: str, selection: Selection) -> VoiceCloner:
        """A VoiceCloner whose model of ``kind`` is the selected one. A model that is not selected any more is freed."""
        if self._fixed is not None:
            return self._fixed
        preload_torch()
        wanted = (selection.name(kind), selection.device)
        with self._lock:
            if kind not in self._cloners or self._cloners[kind][0] != wanted:
                chosen: dict[str, Any] = {kind: selection.name(kind)}
                self._cloners[kind] = (wanted, VoiceCloner(self.registry(), device=selection.device, **chosen))
            return self._cloners[kind][1]

    def info(self, selection: Selection) -> tuple[ModelInfo, ...]:
        """Names and hashes of the selected models."""
        if self._fixed is not None:
            return self._fixed.model_info()
        if selection not in self._info:
            described = VoiceCloner(
                self.registry(), selection.encoder, selection.synthesizer, selection.vocoder, selection.device
            )
            self._info[selection] = described.model_info()
        return self._info[selection]

    def has(self, kind: str, selection: Selection) -> bool:
        """Whether the selected model of a kind is installed."""
        from audio.errors import ModelError

        if self._fixed is not None:
            return True
        try:
            return Path(self.registry().find(selection.name(kind), kind).path).is_file()
        except ModelError:
            return False

    def offered(self) -> tuple[tuple[str, str], ...]:
        """(name, description) of the sets that can be downloaded and are not here."""
        found: dict[str, list[str]] = {}
        for entry in self.registry().list():
            if not entry.installed:
                found.setdefault(entry.name, []).append(f"{entry.kind} {entry.size / 1e6:.0f} MB")
        return tuple((name, ", ".join(parts)) for name, parts in found.items())

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """(name, description) of the installed models of a kind; for vocoders also Griffin-Lim."""
        found = [
            (entry.name, f"{entry.title or entry.architecture} · {entry.path}")
            for entry in self.registry().list(kind)
            if entry.installed
        ]
        if kind == "vocoder":
            found.append((GRIFFIN_LIM, "No model: fast, sounds like a robot"))
        return tuple(dict(reversed(found)).items())[::-1]


@dataclass(frozen=True)
class ComputeDevices:
    """Where networks can run here."""

    names: tuple[str, ...]
    best: str


def warm_up(job: Reporter) -> None:
    """Import what the first clone needs."""
    preload_torch()
    job.check()
    from models.device import configure_threads

    configure_threads()
    job.check()
    import encoder.inference  # noqa: F401
    import synthesizer.inference  # noqa: F401
    import vocoder.inference  # noqa: F401


def preload_torch() -> None:
    """Load torch's libraries while other threads go on.

    Python holds its lock while it imports an extension module, and reading 400 MB of libraries takes up to seconds,
    in which a window would not answer. A foreign call gives the lock away; the import then finds them loaded.
    """
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    for name in ("libc10.so", "libtorch_cpu.so", "libtorch.so"):
        library = Path(found.origin).parent / "lib" / name
        if library.is_file():
            dlopen(str(library).encode(), os.RTLD_NOW | os.RTLD_GLOBAL)


def compute_devices() -> ComputeDevices:
    """The devices that torch can use."""
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ComputeDevices(tuple(names), names[1] if names[1:2] and names[1].startswith("cuda") else "cpu")


def load_selected(
    job: Reporter, models: Models, selection: Selection, kinds: Sequence[str] = ("encoder", "synthesizer", "vocoder")
) -> str:
    """Load models; returns a sentence when some are not there, "" otherwise. A broken one raises ModelError."""
    missing = []
    for number, kind in enumerate(kinds):
        job.progress(number, len(kinds))
        if needs_model(kind, selection.name(kind)) and not models.has(kind, selection):
            missing.append(kind)
        else:
            getattr(models.cloner(kind, selection), kind)
    job.progress(len(kinds), len(kinds))
    if not missing:
        return ""
    return (
        f"There is no {' and no '.join(missing)} on this machine: choose Tools > Download models, "
        "or run: python -m toolbox models fetch default"
    )


def needs_model(kind: str, name: str) -> bool:
    """Whether a choice stands for a file: without a default vocoder, that name stands for Griffin-Lim."""
    return not (kind == "vocoder" and (is_griffin_lim(name) or name == DEFAULT_MODEL))
