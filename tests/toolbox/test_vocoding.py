"""Segments become one sound: in groups, at one level, with their pauses, and one of them anew."""

import numpy as np
import pytest

from toolbox.vocoding import PEAK, TRIMMED_PAUSE, Stream, groups, segments_of, vocode_again, vocode_segments


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


def vocoded(vocoder, parts, pauses=(), **options):
    return Stream(vocode_segments(vocoder, segments_of(parts, pauses), **options)).finish()


def test_groups_grow_and_no_segment_is_asked_for_before_its_group():
    assert list(groups(range(6))) == [[0], [1, 2], [3, 4, 5]]
    assert list(groups([])) == []
    asked = []
    growing = groups(asked.append(number) or number for number in range(6))
    assert next(growing) == [0] and asked == [0]
    assert next(growing) == [1, 2] and asked == [0, 1, 2]


def test_pieces_are_the_sound_and_every_group_has_its_seed():
    calls = []
    vocoder, segments = Noise(), segments_of(mels(1, 1, 1, 1), [0.1, 0.2, 0.1, 0])
    stream = Stream(vocode_segments(vocoder, segments, seed=5, progress=lambda *report: calls.append(report)))
    pieces = list(stream)
    made = stream.result
    assert stream.finish() is made, "what came to its end can be asked for its result again"
    assert np.array_equal(np.concatenate([piece.wav for piece in pieces]), made.wav)
    assert [len(piece.wav) for piece in pieces] == [4600, 10800, 3000]
    assert vocoder.seeds[0] == 5 and len(set(vocoder.seeds)) == 3
    assert made.spans == ((0, 3000), (4600, 7600), (10800, 13800), (15400, 18400))
    assert not made.wav[3000:4600].any() and len(made.wav) == 18400
    assert calls == [(250, 1000), (750, 1000), (1000, 1000)]
    assert np.array_equal(vocoded(vocoder, mels(1, 1, 1, 1), [0.1, 0.2, 0.1, 0], seed=5).wav, made.wav)


def test_pieces_meet_in_silence():
    made = Stream(vocode_segments(Noise(), segments_of(mels(1, 1, 1, 1), [0.0] * 4), seed=1))
    pieces = list(made)
    for before, after in zip(pieces, pieces[1:], strict=False):
        assert before.wav[-1] == 0 and after.wav[0] == 0
        assert np.abs(before.wav[-20:]).max() < 0.3 and np.abs(after.wav[:20]).max() < 0.3, "faded, not cut"


def test_the_level_of_the_first_group_holds_until_one_would_be_clipped():
    made = vocoded(Noise(), mels(1.0, 0.5, 0.5, 4.0), seed=1)
    peaks = [float(np.abs(made.wav[start:stop]).max()) for start, stop in made.spans]
    assert peaks[0] == pytest.approx(PEAK, abs=1e-5) and peaks[3] == pytest.approx(PEAK, abs=1e-5)
    assert peaks[1] == pytest.approx(PEAK / 2, rel=0.01)
    silent = vocoded(Noise(), mels(0.0, 1.0), seed=1)
    assert not silent.wav[:3000].any() and np.abs(silent.wav).max() == pytest.approx(PEAK, abs=1e-5)


def test_pauses_are_shortened_when_silences_are_trimmed():
    made = vocoded(Noise(), mels(1, 1), [0.8, 0], seed=1, trim_silences=True)
    assert made.spans[1][0] - made.spans[0][1] == int(TRIMMED_PAUSE * 16000)


def test_one_segment_is_made_anew_at_the_old_level():
    old = vocoded(Noise(), mels(1, 1, 1), [0.1, 0.1, 0], seed=1)
    new = vocode_again(Noise(), old, 1, np.full((80, 40), 0.5, dtype=np.float32), seed=9)
    assert new.spans == (old.spans[0], (4600, 8600), (10200, 13200))
    assert np.array_equal(new.wav[:4600], old.wav[:4600])
    assert np.array_equal(new.wav[8600:], old.wav[7600:])
    assert np.abs(new.wav[4600:8600]).max() == pytest.approx(PEAK / 2, rel=0.02)
