"""A tiny Tacotron and a tiny preprocessed corpus for the synthesizer's tests."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from synthesizer.config import TacotronConfig
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end

LETTERS = get_front_end("rtvc").symbols
TINY = TacotronConfig(
    front_end="rtvc",
    symbols=LETTERS,
    n_symbols=len(LETTERS),
    embed_dims=12,
    encoder_dims=16,
    decoder_dims=8,
    lstm_dims=16,
    postnet_dims=16,
    highways=1,
    r=2,
)


@pytest.fixture
def tiny() -> Tacotron:
    torch.manual_seed(0)
    return Tacotron(TINY).eval()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four speakers of three clips, as synthesizer.preprocess writes them."""
    rng = np.random.default_rng(0)
    lines = []
    for speaker in range(4):
        embed = np.abs(rng.standard_normal(256)).astype(np.float32)
        for clip in range(3):
            name, frames = f"s{speaker}-{clip}", 20 + 7 * clip + speaker
            for folder, array in {
                "mels": rng.uniform(-4, 4, (frames, 80)),
                "embeds": embed / np.linalg.norm(embed),
                "wavs": rng.uniform(-0.5, 0.5, frames * 200),
            }.items():
                (tmp_path / folder).mkdir(exist_ok=True)
                np.save(tmp_path / folder / f"{name}.npy", array.astype(np.float32))
            entry = {"id": name, "speaker": f"s{speaker}", "text": "hello there" + " you" * clip, "frames": frames}
            lines.append(json.dumps(entry | {"samples": frames * 200, "sex": None, "split": f"part{speaker % 2}"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path
