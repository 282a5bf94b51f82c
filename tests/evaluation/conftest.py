"""Tiny models as files, and a tiny corpus."""

from pathlib import Path

import pytest
import torch

from audio.io import save_wav
from encoder.config import EncoderConfig
from encoder.network import SpeakerEncoder
from models.checkpoint import write_checkpoint
from models.registry import ModelRegistry
from synthesizer.config import TacotronConfig
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end
from vocoder.config import WaveRNNConfig
from vocoder.wavernn import WaveRNN

LETTERS = get_front_end("rtvc").symbols


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """Knows a tiny "default" of each kind, and nothing else."""
    torch.manual_seed(0)
    encoder = EncoderConfig(hidden=12, layers=1, embed=256)
    tacotron = TacotronConfig(
        front_end="rtvc", symbols=LETTERS, n_symbols=len(LETTERS), embed_dims=12, encoder_dims=16, decoder_dims=8,
        lstm_dims=16, postnet_dims=16, highways=1, r=10,
    )  # fmt: skip
    wavernn = WaveRNNConfig(rnn_dims=16, fc_dims=12, compute_dims=8, res_out_dims=8, res_blocks=1)
    for kind, architecture, network, cfg in (
        ("encoder", "speaker_encoder", SpeakerEncoder(encoder), encoder),
        ("synthesizer", "tacotron", Tacotron(tacotron), tacotron),
        ("vocoder", "wavernn", WaveRNN(wavernn), wavernn),
    ):
        path = tmp_path / "models" / "default" / f"{kind}.safetensors"
        # The synthesizer began with the weights of a model that may have known the held-out speakers.
        cards = {"synthesizer": {"data": {"all_speakers": False}, "initial": "older.safetensors"},
                 "vocoder": {"task": {"all_speakers": False}, "initial": None}}  # fmt: skip
        write_checkpoint(
            path, kind=kind, architecture=architecture, config=cfg.to_dict(), state=network.state_dict(),
            card=cards.get(kind, {}),
        )
    return ModelRegistry(tmp_path / "models", standard_roots=False)


@pytest.fixture
def corpus(tmp_path: Path, speechlike) -> Path:
    """Three speakers with four short clips each."""
    for speaker in ("11", "12", "13"):
        folder = tmp_path / "corpus" / "part" / speaker / "1"
        folder.mkdir(parents=True)
        lines = []
        for number in range(4):
            save_wav(folder / f"{speaker}-1-{number}.wav", speechlike(1.5, seed=int(speaker) * 10 + number), 16000)
            lines.append(f"{speaker}-1-{number} THE CAT SAT ON THE MAT\n")
        (folder / f"{speaker}-1.trans.txt").write_text("".join(lines))
    (tmp_path / "corpus" / "SPEAKERS.TXT").write_text(
        "11 | F | part | 1 | A\n12 | M | part | 1 | B\n13 | M | part | 1 | C\n"
    )
    return tmp_path / "corpus"
