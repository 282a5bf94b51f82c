"""Real checkpoints of tiny networks with seeded random weights: the whole program runs on them, as on real models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EMBED = 16


@pytest.fixture(scope="session")
def networks():
    """kind -> (architecture, tiny network)."""
    import torch

    from encoder.config import EncoderConfig
    from encoder.network import SpeakerEncoder
    from synthesizer.config import TacotronConfig
    from synthesizer.network import Tacotron
    from vocoder.config import WaveRNNConfig
    from vocoder.wavernn import WaveRNN

    torch.manual_seed(0)
    tacotron = TacotronConfig(
        embed_dims=16, encoder_dims=16, encoder_kernels=2, decoder_dims=16, lstm_dims=32, postnet_dims=16,
        postnet_kernels=2, highways=1, speaker_embedding_size=EMBED, r=4,
    )
    wavernn = WaveRNNConfig(rnn_dims=16, fc_dims=16, compute_dims=16, res_out_dims=16, res_blocks=1)
    return {
        "encoder": ("speaker_encoder", SpeakerEncoder(EncoderConfig(hidden=16, layers=1, embed=EMBED))),
        "synthesizer": ("tacotron", Tacotron(tacotron)),
        "vocoder": ("wavernn", WaveRNN(wavernn)),
    }


@pytest.fixture(scope="session")
def models_dir(networks, tmp_path_factory):
    """A folder of models with the set "default": what ``-m`` takes."""
    from models.checkpoint import write_checkpoint

    root = tmp_path_factory.mktemp("models")
    for kind, (architecture, network) in networks.items():
        config = network.cfg.to_dict()
        state = network.state_dict()
        path = root / "default" / kind
        path.parent.mkdir(exist_ok=True)
        write_checkpoint(path, kind=kind, architecture=architecture, config=config, state=state, card={})
    return root


@pytest.fixture(scope="session")
def rtvc_dir(networks, tmp_path_factory):
    """The same networks as the .pt files that Real-Time-Voice-Cloning writes."""
    import torch

    root = tmp_path_factory.mktemp("saved_models")
    for kind, (_, network) in networks.items():
        torch.save({"step": 1, "model_state": network.state_dict(), "optimizer_state": {}}, root / f"{kind}.pt")
    return root


@pytest.fixture(scope="session")
def clip(tmp_path_factory, speechlike):
    """A recording of 3 s as mp3-free, offline flac."""
    import soundfile

    path = tmp_path_factory.mktemp("clips") / "voice.flac"
    soundfile.write(path, speechlike(3.0, sample_rate=22050, seed=2), 22050)
    return path


@pytest.fixture
def python(tmp_path):
    """``python("script.py", ..., input=...)`` -> a finished process in an empty folder, with no display and no net."""

    def run(*arguments, **options):
        environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
        environment |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "VOICE_TOOLBOX_MODELS": str(tmp_path)}
        return subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=200, **options,
        )

    return run
