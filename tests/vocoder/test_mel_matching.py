import numpy as np

from audio.mel import SYNTHESIZER_MEL, MelTransform
from audio.signal import de_emphasis, pre_emphasis
from vocoder.mel_matching import MelMatching


def _distance(signal, mel):
    return np.abs(MelTransform()(de_emphasis(signal)) - mel).mean()


def test_more_rounds_bring_the_sound_nearer_to_the_mel(speechlike):
    wav = speechlike(0.5)
    mel = MelTransform()(wav)
    noise = np.random.default_rng(0).normal(0, 0.02, len(wav))
    rounds = [MelMatching(mel, SYNTHESIZER_MEL, rounds).of(noise, True) for rounds in (1, 4, 16)]
    distances = [_distance(signal, mel) for signal in (noise, *rounds)]
    assert all(after < 0.8 * before for before, after in zip(distances, distances[1:], strict=False))


def test_a_sound_with_that_mel_stays(speechlike):
    wav = speechlike(0.5)
    signal = pre_emphasis(wav).astype(np.float64)
    matched = MelMatching(MelTransform()(wav), SYNTHESIZER_MEL, 2).of(signal, True)
    assert np.abs(matched - signal).max() < 0.02 * np.abs(signal).max()


def test_the_pitch_that_was_spoken_stays():
    noise = np.random.default_rng(0).normal(0, 0.05, (2, 8000))
    pulses = noise[0] + 0.8 * (np.arange(8000) % 160 == 0)

    def periodicity(signal):
        return (signal[160:] * signal[:-160]).sum() / (signal**2).sum()

    # The mel of white noise says nothing of a pitch.
    matched = MelMatching(MelTransform()(de_emphasis(noise[1])), SYNTHESIZER_MEL, 16).of(pulses, True)
    assert periodicity(pulses) > 0.5 and periodicity(matched) > 0.6 * periodicity(pulses)


def test_pieces_are_the_whole_and_lag_no_further_than_they_must(random_mel):
    noise, mel = np.random.default_rng(0).normal(0, 0.1, 11_800), random_mel(60)
    whole = MelMatching(mel, SYNTHESIZER_MEL, 4).of(noise, True)
    matching, pieces, received = MelMatching(mel, SYNTHESIZER_MEL, 4), [], 0
    for piece in np.split(noise, [1600, 3000, 8000, 8100]):
        received += len(piece)
        pieces.append(matching.of(piece, received == len(noise)))
        lag = received - sum(map(len, pieces))
        assert lag == 0 if received == len(noise) else lag < min(received + 1, 3400)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-9)
