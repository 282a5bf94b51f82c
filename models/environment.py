"""What must be set before torch is imported, and where models are kept; imports no torch."""

import os
import sys
from pathlib import Path

MODELS_VARIABLE = "VOICE_TOOLBOX_MODELS"
_APPLICATION = "voice-cloning-toolbox"


def prepare_environment() -> None:
    """Set thread defaults; call it first in a program, before torch is imported. What the user set stays.

    OpenMP reads OMP_WAIT_POLICY once, when torch loads it. Its waiting threads spin by default: with another
    job on a two-core machine that made one WaveRNN step 25 times slower. Passive threads sleep.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def default_models_dir() -> Path:
    """The folder ``models/`` of the program, whose sub-folder ``default`` holds the shipped set."""
    return Path(__file__).resolve().parent


def program_data_dir() -> Path:
    """The system's place for this program's data of the user."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / _APPLICATION


def user_models_dir() -> Path:
    """The user's models folder: $VOICE_TOOLBOX_MODELS, else the system's place for a program's data."""
    chosen = os.environ.get(MODELS_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return program_data_dir() / "models"
