"""The vocoders in models/: they give a recording back better than Griffin-Lim."""

import numpy as np
import pytest

from audio.io import load_wav
from audio.mel import SYNTHESIZER_MEL, MelTransform
from evaluation.measures import mel_cepstral_distortion, stft_distance
from models.registry import ModelRegistry
from toolbox.doctor import REFERENCE_CLIP
from vocoder.inference import load_vocoder


def copied(name, seconds=2.5):
    """Mel-cepstral distortion and distance of the spectra of a copy of the bundled clip."""
    wav = load_wav(REFERENCE_CLIP, SYNTHESIZER_MEL.sample_rate)[: int(seconds * SYNTHESIZER_MEL.sample_rate)]
    copy = load_vocoder(ModelRegistry(), name).vocode(MelTransform()(wav), seed=0)
    assert copy.shape == wav.shape and np.isfinite(copy).all()
    assert 0.8 < copy.std() / wav.std() < 1.25
    return np.array([mel_cepstral_distortion(wav, copy, 16000), stft_distance(wav, copy)])


@pytest.fixture(scope="module")
def griffin_lim():
    return copied("griffin-lim")


@pytest.mark.parametrize("name", ["default", "wavenet", "wavernn"])
def test_copies_are_nearer_than_those_of_griffin_lim(griffin_lim, name):
    assert (copied(name) < 0.8 * griffin_lim).all()
