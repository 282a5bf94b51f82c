"""Checks an installation and says, a sentence each, what is wrong and how to mend it; changes nothing.

A check is ok, a note (something is not there that not everybody needs: a GPU, a loudspeaker) or a fault.
Faults alone make the exit code 1.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import Cancelled, ToolboxError

OK, NOTE, FAULT = "ok", "note", "fault"
ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(__file__).resolve().parent / "assets"
REFERENCE_CLIP = ASSETS / "reference.flac"
RECORD = ASSETS / "doctor.json"
TRIAL_TEXT = "The weather is nice today, so we are going to the park."
TRIAL_SEED = 1
TOLERANCES = {"seconds": 0.3, "level_db": 2.0, "similarity": 0.08}
"""Largest honest differences between machines: other processors round otherwise, and sampling multiplies
that."""
SANE_SECONDS = (1.5, 8.0)
QT_LIBRARIES = {
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    status: str
    message: str


def run_doctor(
    with_clone: bool = True,
    write: Callable[[str], object] = print,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Do every check and write a line for each; returns 0, or 1 when something must be mended.

    ``progress`` is that of the trial run; ``Cancelled`` from it or from ``write`` ends the checks.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [
        check_python, check_packages, check_libraries, check_display, check_audio, check_gpu, check_models,
    ]
    if with_clone:

        def trial_run() -> Iterator[Finding]:
            return check_clone(progress)

        checks.append(trial_run)
    faults = 0
    for check in checks:
        try:
            findings = list(check())
        except Cancelled:
            raise
        except Exception as error:  # A check that breaks is a finding too.
            findings = [Finding(FAULT, f"{check.__name__} broke: {type(error).__name__}: {error}")]
        for finding in findings:
            faults += finding.status == FAULT
            write(f"{finding.status:5s} {finding.message}")
    write("All is well." if not faults else f"{faults} thing{'s' if faults > 1 else ''} to mend.")
    return 1 if faults else 0


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    version = platform.python_version()
    yield Finding(OK, f"Python {version} on {platform.system()} {platform.machine()}")
    if sys.prefix == sys.base_prefix:
        yield Finding(NOTE, "Not in a virtual environment: .venv/bin/python is the one that make setup fills.")


def read_pins(path: Path) -> dict[str, str]:
    """Package -> version of the lines ``name==version``."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(pins)


def check_packages(requirements: Path = ROOT / "requirements.txt") -> Iterator[Finding]:
    """Installed versions against the pins."""
    if not requirements.is_file():
        yield Finding(NOTE, f"{requirements.name} is not beside the program, so versions are not compared.")
        return
    pins = read_pins(requirements)
    good = 0
    for name, wanted in pins.items():
        try:
            # "2.13.0+cpu" is 2.13.0 built for other hardware.
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            yield Finding(FAULT, f"The package {name} is not installed: pip install {name}=={wanted}")
            continue
        if found == wanted:
            good += 1
        else:
            yield Finding(NOTE, f"{name} {found} is installed, {wanted} was tested: pip install {name}=={wanted}")
    if good == len(pins):
        yield Finding(OK, f"{good} packages in the tested versions")


def check_libraries() -> Iterator[Finding]:
    """System libraries that the window needs; only Linux keeps them apart from the packages."""
    if platform.system() != "Linux":
        return
    missing = [package for library, package in QT_LIBRARIES.items() if not _can_load(library)]
    if missing:
        yield Finding(NOTE, f"The window needs more system libraries: sudo apt install {' '.join(missing)}")
    else:
        yield Finding(OK, "System libraries of the window")


def _can_load(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def display_name() -> str:
    """The display that a window would open on; "" when there is none."""
    if platform.system() in ("Windows", "Darwin"):
        return platform.system()
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or ""


def check_display() -> Iterator[Finding]:
    """Whether a window could open."""
    name = display_name()
    if name:
        yield Finding(OK, f"Display {name}")
    else:
        yield Finding(NOTE, "No display (DISPLAY is not set): demo_cli.py works, the window needs a desktop.")


def check_audio() -> Iterator[Finding]:
    """PortAudio and its devices."""
    try:
        import sounddevice
    except (ImportError, OSError):
        yield Finding(NOTE, "PortAudio is missing, so nothing can be played or recorded: "
                            "sudo apt install libportaudio2")
        return
    for kind, what in (("output", "loudspeaker"), ("input", "microphone")):
        try:
            device: Any = sounddevice.query_devices(kind=kind)
        except (sounddevice.PortAudioError, ValueError):
            device = None
        if device:
            yield Finding(OK, f"{what.capitalize()}: {device['name']}")
        else:
            yield Finding(NOTE, f"No {what}: connect one and start again; files can be written and read without.")


def check_gpu() -> Iterator[Finding]:
    """Where the networks will run."""
    import torch

    if torch.cuda.is_available():
        yield Finding(OK, f"GPU: {torch.cuda.get_device_name(0)}")
    elif Path("/proc/driver/nvidia/version").exists():
        yield Finding(NOTE, "An NVIDIA GPU is here that this PyTorch cannot use: "
                            "remove .venv and run make setup to install one that can.")
    else:
        yield Finding(OK, f"No GPU: the networks run on the CPU ({os.cpu_count()} cores)")


def check_models() -> Iterator[Finding]:
    """Every installed model against its recorded hash, and that the default three are there."""
    from models.registry import ModelRegistry

    registry = ModelRegistry()
    for verdict in registry.verify():
        name = f"{verdict.entry.kind} {verdict.entry.name}"
        yield Finding(OK if verdict.status == "ok" else FAULT, f"Model {name}: {verdict.message}")
    for kind in ("encoder", "synthesizer"):
        try:
            registry.find("default", kind)
        except ToolboxError as error:
            yield Finding(FAULT, str(error))
    if not any(entry.name == "default" and entry.installed for entry in registry.list("vocoder")):
        yield Finding(OK, "Vocoder: Griffin-Lim, which needs no model")


def check_clone(progress: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """A trial run with a fixed seed against the stored result."""
    import time

    started = time.monotonic()
    try:
        now = trial(progress=progress)
    except ToolboxError as error:
        yield Finding(FAULT, f"The trial run failed: {error}")
        return
    took = time.monotonic() - started
    figures = f"{now['seconds']:.2f} s of speech in {took:.0f} s, likeness {now['similarity']:.2f}"
    if not SANE_SECONDS[0] <= now["seconds"] <= SANE_SECONDS[1] or now["level_db"] < -50:
        yield Finding(FAULT, f"The trial run gave no plausible speech ({figures}, {now['level_db']:.0f} dB): "
                             "python -m toolbox models verify shows whether a model is damaged.")
        return
    if not RECORD.is_file():
        yield Finding(OK, f"Trial run: {figures}; no stored result to compare with")
        return
    yield compare(now, json.loads(RECORD.read_text(encoding="utf-8")), figures)


def compare(now: dict[str, Any], stored: dict[str, Any], figures: str) -> Finding:
    """A trial run's figures against the stored ones."""
    if now["models"] != stored["models"]:
        return Finding(OK, f"Trial run: {figures}; made by other models than the stored result, so not compared")
    off = [
        f"{name} {now[name]:.2f} instead of {stored[name]:.2f}"
        for name, tolerance in TOLERANCES.items()
        if not abs(now[name] - stored[name]) <= tolerance
    ]
    if off:
        return Finding(FAULT, f"The trial run differs from the stored result ({', '.join(off)}): "
                              "install the versions of requirements.txt.")
    return Finding(OK, f"Trial run like the stored one: {figures}")


def trial(cloner: Any = None, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Clone the bundled clip on the CPU with a fixed seed; returns the figures that are compared."""
    from toolbox.pipeline import VoiceCloner

    cloner = cloner or VoiceCloner(device="cpu")
    speech = cloner.clone(TRIAL_TEXT, REFERENCE_CLIP, seed=TRIAL_SEED, progress=progress)
    level = 10 * np.log10(float(np.mean(np.square(speech.wav, dtype=np.float64))) + 1e-12)
    try:
        similarity = cloner.similarity(speech)
    except ToolboxError:  # Nothing in it that sounds like speech.
        similarity = 0.0
    return {
        "seconds": round(speech.seconds, 3),
        "level_db": round(float(level), 2),
        "similarity": round(similarity, 3),
        "models": {model.kind: str(model) for model in speech.models},
    }


def record(path: Path = RECORD) -> int:
    """Store the trial run's figures as what other machines must reproduce."""
    figures = trial()
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps({"text": TRIAL_TEXT, "seed": TRIAL_SEED, **figures}, indent=2) + "\n")
    os.replace(temporary, path)
    print(f"{path}: {figures}")
    return 0
