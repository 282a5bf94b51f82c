"""The fixtures that the other tests stand on."""

import numpy as np


def test_speechlike_is_repeatable_and_bounded(speechlike):
    wav = speechlike(1.5, seed=3)
    assert wav.shape == (24000,) and wav.dtype == np.float32
    assert np.array_equal(wav, speechlike(1.5, seed=3))
    assert not np.array_equal(wav, speechlike(1.5, seed=4))
    assert 0.4 < np.abs(wav).max() <= 0.5


def test_reference_reads_arrays_and_json(reference):
    assert {"wav", "mel"} <= set(reference("encoder.npz"))
    assert len(reference("text.json")["symbols"]) == 66
    assert "wav" in reference("vocoder") or "mel" in reference("vocoder")
