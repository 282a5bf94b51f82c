"""The line under a clip says what was done to it."""

import numpy as np
import pytest

from toolbox.coaching import clipped_share, coach

RATE = 16000


@pytest.fixture(scope="module")
def recorded(speechlike):
    """``recorded(seconds of speech)``: speech between pauses, with the faint noise of a quiet room."""

    def make(seconds: float, level: float = 0.3, snr_db: float = 40.0) -> np.ndarray:
        speech = speechlike(seconds, seed=3)
        pause = np.zeros(RATE * 4 // 5, dtype=np.float32)
        wav = np.concatenate([pause, speech, pause]) * (level / 0.5)
        power = np.mean(np.square(speech * (level / 0.5))) * 10 ** (-snr_db / 10)
        return (wav + np.sqrt(power) * np.random.default_rng(0).standard_normal(len(wav))).astype(np.float32)

    return make


def test_a_good_clip_is_called_fine(recorded):
    coaching = coach(recorded(6.0), RATE, agreement=0.94)
    assert coaching.verdict == "good"
    assert coaching.advice.endswith("s of speech, good level, quiet room: fine.")
    assert coaching.speech_seconds == pytest.approx(6.0, abs=0.8)
    assert coaching.seconds == pytest.approx(7.6)
    assert coaching.agreement == 0.94


@pytest.mark.parametrize(("seconds", "verdict"), [(1.6, "usable"), (0.5, "poor")])
def test_too_little_speech_is_said_with_its_seconds(recorded, seconds, verdict):
    coaching = coach(recorded(seconds), RATE)
    assert coaching.verdict == verdict
    assert coaching.advice == f"Only {coaching.speech_seconds:.1f} s of speech: 3 to 10 s work best."


@pytest.mark.parametrize("snr_db", [5.0, 12.0, 30.0])
def test_noise_is_estimated_from_the_pauses(recorded, snr_db):
    coaching = coach(recorded(5.0, snr_db=snr_db), RATE)
    assert coaching.noise_db == pytest.approx(snr_db, abs=3.0)
    assert ("Noisy" in coaching.advice) == (snr_db < 15)


def test_noise_is_found_in_a_clip_without_pauses(recorded):
    wav = recorded(5.0, snr_db=6.0)[RATE:-RATE]
    assert coach(wav, RATE).noise_db < 12


@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_clipping_is_seen_even_when_turned_down_later(recorded, gain):
    wav = recorded(5.0)
    clean = coach(gain * wav, RATE)
    clipped = coach(gain * np.clip(wav / np.abs(wav).max() * 3, -1, 1), RATE)
    assert clean.clipped_share < 5e-4 < clipped.clipped_share
    assert "cut off" in clipped.advice and "cut off" not in clean.advice


def test_flat_tops_are_counted():
    wav = np.array([0, 1, 1, 1, 0, -1, -1, -1, -1, 0, 1, 1, 0, 0.5, 0.5, 0.5, 0, 0, 0, 0], dtype=np.float32)
    assert clipped_share(wav) == pytest.approx(7 / 20)
    assert clipped_share(np.zeros(9, np.float32)) == 0.0


def test_a_quiet_clip_is_told_to_come_closer(recorded):
    coaching = coach(recorded(5.0) * 0.01, RATE)
    assert coaching.level_dbfs < -50
    assert "Very quiet" in coaching.advice


@pytest.mark.parametrize("rate", [8000, 16000])
def test_telephone_speech_is_recognised(recorded, rate):
    from audio.signal import resample

    narrow = resample(recorded(5.0), RATE, 8000)
    coaching = coach(resample(narrow, 8000, rate), rate)
    assert coaching.bandwidth_hz <= 4250
    assert "telephone" in coaching.advice
    assert coach(recorded(5.0), RATE).bandwidth_hz > 5000


def test_two_people_in_a_clip_are_seen_from_the_agreement(recorded):
    assert "voice changes" in coach(recorded(5.0), RATE, agreement=0.83).advice
    assert coach(recorded(5.0), RATE, agreement=0.7).verdict == "poor"


def test_the_gravest_fault_comes_first_and_no_more_than_two_are_named(recorded):
    coaching = coach(np.clip(recorded(1.7, snr_db=3.0) * 30, -1, 1), RATE, agreement=0.7)
    assert coaching.verdict == "poor"
    assert coaching.advice.count(": ") == 2


@pytest.mark.parametrize(
    ("wav", "word"),
    [
        (np.zeros(0, np.float32), "empty"),
        (np.zeros(RATE, np.float32), "silent"),
        (np.full(RATE, 0.25, np.float32), "silent"),
        (np.array([0.1, np.nan] * 8000, np.float32), "not numbers"),
        (0.2 * np.sign(np.sin(np.arange(100.0))).astype(np.float32), "No speech"),
    ],
)
def test_what_is_no_speech_is_a_poor_clip_and_no_error(wav, word):
    coaching = coach(wav, RATE)
    assert (coaching.verdict, coaching.noise_db) == ("poor", None)
    assert word in coaching.advice


def test_a_stereo_array_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="shape"):
        coach(np.zeros((2, 100), np.float32), RATE)
