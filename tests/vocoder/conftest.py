"""A tiny WaveRNN, a tiny WaveNet, and preprocessed speech-like sound to train it on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audio.mel import MelTransform
from training.manifest import ManifestEntry, ManifestWriter
from vocoder.config import WaveNetConfig, WaveRNNConfig
from vocoder.wavenet import WaveNet
from vocoder.wavernn import WaveRNN

TINY = {"rnn_dims": 16, "fc_dims": 12, "compute_dims": 8, "res_out_dims": 8, "res_blocks": 1}


@pytest.fixture
def tiny_config():
    """``tiny_config(**changes)`` -> WaveRNNConfig of a few thousand weights."""
    return lambda **changes: WaveRNNConfig(**{**TINY, **changes})


@pytest.fixture
def tiny_network(tiny_config):
    """``tiny_network(**changes)`` -> WaveRNN in eval mode with fixed weights and used batch-norm statistics."""

    def make(**changes) -> WaveRNN:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            network = WaveRNN(tiny_config(**changes)).eval()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm1d):
                    module.running_mean.normal_()
                    module.running_var.uniform_(0.5, 2.0)
        return network

    return make


@pytest.fixture
def tiny_wavenet():
    """``tiny_wavenet(**changes)`` -> WaveNet with fixed weights and a receptive field of 31 samples."""

    def make(**changes) -> WaveNet:
        sizes = {"layers": 8, "cycles": 2, "residual": 8, "gate": 6, "skip": 10, "local": 12}
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return WaveNet(WaveNetConfig(**{**sizes, **changes})).eval()

    return make


@pytest.fixture
def random_mel():
    """``random_mel(T, seed=0)`` -> float32 (80, T) in [-4, 4]."""
    return lambda frames, seed=0: np.random.default_rng(seed).uniform(-4, 4, (80, frames)).astype(np.float32)


@pytest.fixture
def mel(random_mel):
    """A random mel (80, 6) as the networks read it, in [-1, 1]."""
    return torch.from_numpy(random_mel(6)) / 4


@pytest.fixture(scope="session")
def data_root(tmp_path_factory, speechlike) -> Path:
    """Three speakers with two clips each, as the preprocessing leaves them; speaker c's first clip is very short."""
    root = tmp_path_factory.mktemp("vocoder_data")
    with ManifestWriter(root) as manifest:
        for index, (speaker, seconds) in enumerate(
            [("a", 1.0), ("a", 0.8), ("b", 0.9), ("b", 0.7), ("c", 0.02), ("c", 0.8)]
        ):
            wav = speechlike(seconds, seed=index)
            mel = np.ascontiguousarray(MelTransform()(wav).T)
            for folder, array in (("wavs", wav), ("mels", mel)):
                (root / folder).mkdir(exist_ok=True)
                np.save(root / folder / f"clip{index}.npy", array)
            manifest.write(ManifestEntry(f"clip{index}", speaker, None, len(wav), len(mel)))
    return root


@pytest.fixture
def saved_model(tmp_path, tiny_network) -> Path:
    """A tiny vocoder written for inference."""
    from models.checkpoint import write_checkpoint

    network = tiny_network()
    return write_checkpoint(
        tmp_path / "vocoder.safetensors",
        kind="vocoder",
        architecture="wavernn",
        config=json.loads(json.dumps(network.cfg.to_dict())),
        state=network.state_dict(),
        card={},
    )
