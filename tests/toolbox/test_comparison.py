"""The map of utterances while its process works, dies, or is not needed."""

import os
import time

import numpy as np
import pytest

from toolbox.comparison import Comparison
from toolbox.state import Clip, ToolboxState


def clips(state, count):
    rows = np.abs(np.random.default_rng(0).standard_normal((count, 256))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Clip(state.new_id(), f"speaker {number % 3}", f"clip {number}", np.zeros(1600, dtype=np.float32), embed=row)
        for number, row in enumerate(rows)
    ]


def instead(comparison, monkeypatch, function, argument):
    """Let the process do something else than UMAP."""
    call = comparison._child.call
    monkeypatch.setattr(comparison._projector, "_run", lambda *_, check: call(function, argument, check=check))


@pytest.fixture
def desk(qtbot):
    state, errors = ToolboxState(), []
    comparison = Comparison(state, lambda what, error, details: errors.append(f"{what}. {error}"))
    yield state, comparison, errors
    assert comparison.shutdown()


def test_the_end_of_its_process_is_an_error_and_pca_remains(desk, qtbot, monkeypatch):
    state, comparison, errors = desk
    instead(comparison, monkeypatch, os._exit, 3)
    state.add_clips(clips(state, 9))
    comparison.refit()
    qtbot.waitUntil(lambda: bool(errors), timeout=10000)
    assert errors == ["The map was not fitted. UMAP: its process ended; try it again."]
    qtbot.waitUntil(lambda: len(state.projection.points) == 9 and not state.projection.fitting, timeout=10000)
    assert state.projection.method == "PCA"


def test_forgetting_the_picture_ends_a_fit_at_once(desk, qtbot, monkeypatch):
    state, comparison, errors = desk
    instead(comparison, monkeypatch, time.sleep, 60)
    state.add_clips(clips(state, 9))
    comparison.refit()
    qtbot.waitUntil(lambda: comparison._child.pid is not None, timeout=10000)
    comparison.clear()
    qtbot.waitUntil(lambda: comparison._child.pid is None, timeout=10000)
    assert not errors
