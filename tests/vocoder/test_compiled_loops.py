"""What the compiled loops of all networks that speak sample by sample owe."""

import sys

import numpy as np
import pytest
import torch

from vocoder.folding import FoldPlan, even_plan
from vocoder.generation import FoldNoise, Speaker, generate


@pytest.fixture
def threads():
    """``threads(n)`` sets torch's thread count until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=["wavernn", "wavenet"])
def architecture(request):
    return request.param


@pytest.fixture
def network(architecture, tiny_network, tiny_wavenet):
    return tiny_network() if architecture == "wavernn" else tiny_wavenet()


@pytest.mark.parametrize("precision", ["float32", "int16"])
@pytest.mark.parametrize("plan", [FoldPlan(1000, 1, 1000, 0), even_plan(1000, 130, 20)])
def test_samples_do_not_depend_on_threads_or_blocks(network, mel, monkeypatch, threads, precision, plan):
    speaker, results = Speaker(network, precision), []
    for count, seconds in ((1, 0.02), (2, 0.02), (3, 0.0), (1, 0.0)):
        threads(count)
        monkeypatch.setattr("vocoder.generation.BLOCK_SECONDS", seconds)
        results.append(generate(speaker, mel, plan, seed=4))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_a_fold_is_what_it_is_alone(network, mel):
    starts = np.array([0, 130, 400, 610, 700, 810], dtype=np.int64)
    loop = Speaker(network).loop(mel)
    noise = FoldNoise(0, np.arange(6), network.cfg).draw(150)
    loop.begin(starts)
    together = loop.run(noise)
    for fold in range(6):
        loop.begin(starts[fold : fold + 1])
        np.testing.assert_array_equal(loop.run(noise[fold : fold + 1])[0], together[fold])


@pytest.mark.parametrize("plan", [FoldPlan(1000, 1, 1000, 0), even_plan(1000, 300, 50)])
def test_without_numba_torch_speaks(network, architecture, mel, monkeypatch, caplog, plan):
    fast = generate(Speaker(network), mel, plan, seed=4)
    monkeypatch.setitem(sys.modules, f"vocoder.{architecture}_compiled", None)
    slow = generate(Speaker(network), mel, plan, seed=4)
    assert "cannot be compiled" in caplog.text
    # The same noise: only a draw at a class's very edge may fall differently, and what follows it.
    assert slow.shape == fast.shape
    np.testing.assert_allclose(slow[:100], fast[:100], atol=1e-6)
