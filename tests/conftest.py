"""Fixtures shared by every test; makes its own sound and skips what is not on this machine."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Spinning OpenMP threads on a shared machine make tiny networks many times slower; must be set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference values and recordings beside the checkout; skips where there is none."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("no ../shared folder on this machine")
    return path


@pytest.fixture(scope="session")
def reference(shared_dir: Path) -> Callable[[str], Any]:
    """``reference("encoder.npz")`` -> dict of arrays, ``reference("text.json")`` -> parsed JSON, or skips."""

    def load(name: str) -> Any:
        path = shared_dir / "reference" / name
        if not path.suffix:
            found = [p for p in (path.with_suffix(".npz"), path.with_suffix(".json")) if p.is_file()]
            path = found[0] if found else path
        if not path.is_file():
            pytest.skip(f"no reference values {name} on this machine")
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        with np.load(path) as archive:
            return {key: archive[key] for key in archive.files}

    return load


def make_speechlike(seconds: float, sample_rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch under vowel-like formants, with pauses -> float32 (S,), peak 0.5."""
    rng = np.random.default_rng(seed)
    n = int(round(seconds * sample_rate))
    t = np.arange(n) / sample_rate
    pitch = rng.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    syllable = (t / 0.22).astype(int)
    which = rng.integers(0, len(VOWELS), size=int(seconds / 0.22) + 2)[syllable]
    formants = np.array(VOWELS, dtype=float)[which] * rng.uniform(0.9, 1.15)
    wav = np.zeros(n)
    for harmonic in range(1, 36):
        frequency = harmonic * pitch
        gain = sum(np.exp(-(((frequency - formants[:, k]) / (90 + 60 * k)) ** 2)) / (k + 1) for k in range(3))
        audible = frequency < 0.45 * sample_rate
        wav += np.where(audible, (gain + 0.03 / harmonic) * np.sin(harmonic * phase), 0)
    envelope = 0.25 + 0.75 * np.sin(np.pi * (t / 0.22 % 1)) ** 0.5
    pauses = rng.random(int(seconds / 0.22) + 2)[syllable] < 0.12
    wav = wav * envelope * np.where(pauses, 0.0, 1.0) + 1e-4 * rng.standard_normal(n)
    return (0.5 * wav / max(float(np.abs(wav).max(initial=0.0)), 1e-9)).astype(np.float32)


@pytest.fixture(scope="session")
def speechlike() -> Callable[..., np.ndarray]:
    """``speechlike(seconds, sample_rate=16000, seed=0)`` -> float32 (S,)."""
    return make_speechlike


@pytest.fixture(autouse=True)
def plain_appearance(request):
    """A test that uses Qt begins with the application's own look, whatever theme the one before it chose."""
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        return
    app = request.getfixturevalue("qapp")
    app.setStyleSheet("")
    app.setPalette(app.style().standardPalette())
    app.setFont(request.getfixturevalue("first_font"))


@pytest.fixture(scope="session")
def first_font(qapp):
    """The application's font before any test has changed it."""
    return qapp.font()
