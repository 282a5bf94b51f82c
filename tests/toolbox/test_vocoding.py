"""Segments become one sound: in groups, at one level, with their pauses, and one of them anew."""

import numpy as np
import pytest

from toolbox.vocoding import PEAK, TRIMMED_PAUSE, groups, vocode_again, vocode_segments


class Noise:
    """Noise from the seed whose loudness is the mel's mean; 100 samples a frame."""

    sample_rate = 16000

    def __init__(self):
        self.seeds = []

    def vocode(self, mel, *, seed=None, progress=None):
        self.seeds.append(seed)
        if progress:
            progress(1, 1)
        noise = np.random.default_rng(seed).uniform(-1, 1, 100 * mel.shape[1])
        return (noise * np.repeat(mel.mean(axis=0), 100)).astype(np.float32)


def mels(*levels):
    return [np.full((80, 30), level, dtype=np.float32) for level in levels]


def test_groups_grow():
    assert [list(group) for group in groups(6)] == [[0], [1, 2], [3, 4, 5]]
    assert list(groups(0)) == []


def test_pieces_are_the_sound_and_every_group_has_its_seed():
    pieces, calls = [], []
    vocoder = Noise()
    made = vocode_segments(
        vocoder, mels(1, 1, 1, 1), [0.1, 0.2, 0.1, 0], seed=5, listen=pieces.append,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert np.array_equal(np.concatenate([piece.wav for piece in pieces]), made.wav)
    assert [piece.segments_done for piece in pieces] == [1, 3, 4]
    assert vocoder.seeds[0] == 5 and len(set(vocoder.seeds)) == 3
    assert made.spans == ((0, 3000), (4600, 7600), (10800, 13800), (15400, 18400))
    assert not made.wav[3000:4600].any() and len(made.wav) == 18400
    assert calls == [(30, 120), (90, 120), (120, 120)]
    assert np.array_equal(vocode_segments(vocoder, mels(1, 1, 1, 1), [0.1, 0.2, 0.1, 0], seed=5).wav, made.wav)


def test_the_level_of_the_first_group_holds_until_one_would_be_clipped():
    made = vocode_segments(Noise(), mels(1.0, 0.5, 0.5, 4.0), seed=1)
    peaks = [float(np.abs(made.wav[start:stop]).max()) for start, stop in made.spans]
    assert peaks[0] == pytest.approx(PEAK, abs=1e-5) and peaks[3] == pytest.approx(PEAK, abs=1e-5)
    assert peaks[1] == pytest.approx(PEAK / 2, rel=0.01)
    silent = vocode_segments(Noise(), mels(0.0, 1.0), seed=1)
    assert not silent.wav[:3000].any() and np.abs(silent.wav).max() == pytest.approx(PEAK, abs=1e-5)


def test_pauses_are_shortened_when_silences_are_trimmed():
    made = vocode_segments(Noise(), mels(1, 1), [0.8, 0], seed=1, trim_silences=True)
    assert made.spans[1][0] - made.spans[0][1] == int(TRIMMED_PAUSE * 16000)


def test_one_segment_is_made_anew_at_the_old_level():
    old = vocode_segments(Noise(), mels(1, 1, 1), [0.1, 0.1, 0], seed=1)
    new = vocode_again(Noise(), old, 1, np.full((80, 40), 0.5, dtype=np.float32), seed=9)
    assert new.spans == (old.spans[0], (4600, 8600), (10200, 13200))
    assert np.array_equal(new.wav[:4600], old.wav[:4600])
    assert np.array_equal(new.wav[8600:], old.wav[7600:])
    assert np.abs(new.wav[4600:8600]).max() == pytest.approx(PEAK / 2, rel=0.02)
