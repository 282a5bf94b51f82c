"""Recorded steps of a WaveRNN are the plain ones."""

import numpy as np
import pytest
import torch

from vocoder import wavernn_loop
from vocoder.config import WaveRNNConfig
from vocoder.wavernn import WaveRNN

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("folds", [1, 7])
def test_recorded_steps_are_the_plain_ones(folds, monkeypatch):
    torch.manual_seed(0)
    network = WaveRNN(WaveRNNConfig(rnn_dims=64, fc_dims=64, res_blocks=2)).cuda().eval()
    mel = torch.rand(80, 40) * 2 - 1
    noise = np.random.default_rng(0).random((folds, 3 * wavernn_loop.STEPS + 7, 1), dtype=np.float32)

    def run():
        loop = wavernn_loop.SampleLoop(network, mel)
        loop.begin(np.arange(folds) * 200)
        return loop.run(noise)

    recorded = run()
    monkeypatch.setattr(wavernn_loop, "STEPS", 10**9)
    np.testing.assert_array_equal(recorded, run())
