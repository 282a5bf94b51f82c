"""The Synthesizer object: splitting, retries, RTVC's names, errors."""

import dataclasses

import numpy as np
import pytest
import torch

from audio.errors import ModelError, TextError
from audio.io import save_wav
from audio.mel import denormalize_db
from models.checkpoint import write_checkpoint
from synthesizer import inference
from synthesizer.detail import DetailConfig
from synthesizer.generation import GeneratedLine
from synthesizer.inference import MAX_TRIES, Synthesizer
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end
from tests.synthesizer.conftest import TINY

EMBED = np.full(256, 1 / 16, dtype=np.float32)


def fake_line(ids, good=True, frames_a_symbol=4):
    path = np.repeat(np.arange(len(ids)), 2)
    matrix = np.eye(len(ids))[path]
    mel = np.zeros((80, frames_a_symbol * len(ids)), dtype=np.float32)
    mel[:, -3:] = -4.0
    return GeneratedLine(mel, mel, matrix, good)


@pytest.fixture
def speaking(tiny, monkeypatch):
    """A synthesizer whose network always speaks well; ``calls`` lists the (ids, seeds) of its batches."""
    calls = []

    def generate(network, ids, embeds, *, seeds, max_frames, progress=None, dropout=None, weights=None):
        calls.append((list(ids), list(seeds)))
        assert embeds.shape == (len(ids), 256) and len(max_frames) == len(ids)
        return [fake_line(line, good=(len(calls), len(line)) not in bad) for line in ids]

    bad = set()
    monkeypatch.setattr(inference, "generate", generate)
    synthesizer = Synthesizer(tiny)
    synthesizer.calls, synthesizer.bad = calls, bad
    return synthesizer


def test_sentences_become_segments_with_pauses(speaking):
    result = speaking.synthesize("The first sentence is here. The second sentence is longer!\n\nAnd a third.", EMBED)
    assert len(result.mels) == len(result.alignments) == len(result.segments) == len(result.pauses) >= 2
    assert " ".join(s.text for s in result.segments).split()[0] == "The"
    assert all(s.ok and s.tries == 1 for s in result.segments)
    assert max(result.pauses) >= 0.3
    assert result.mel.shape == (80, sum(m.shape[1] for m in result.mels))
    assert all(m.max() > -3.4 and m[:, -1].max() > -3.4 for m in result.mels), "silence at the end is trimmed"


def test_segments_come_as_they_are_ready_and_are_those_of_the_whole(speaking):
    text = "\n".join(["There is one more line like this."] * 24)
    stream = speaking.stream(text, EMBED, seed=4)
    first = next(stream)
    assert [len(ids) for ids, _ in speaking.calls] == [1], "the first is spoken alone"
    spoken = [first, *stream]
    assert [len(ids) for ids, _ in speaking.calls] == [1, 4, 16, 3]
    assert [part.done for part in spoken] == sorted({part.done for part in spoken}) and spoken[-1].done == 1.0
    assert [part.done == 1.0 for part in spoken].count(True) == 1
    whole = speaking.synthesize(text, EMBED, seed=4)
    assert whole.segments == [part.segment for part in spoken] and whole.pauses == [part.pause for part in spoken]


def test_a_segment_ends_in_a_mark_as_in_training():
    symbols = get_front_end("arpabet").symbols
    cfg = dataclasses.replace(TINY, front_end="arpabet", symbols=symbols, n_symbols=len(symbols))
    phonemes, letters = Synthesizer(Tacotron(cfg)), Synthesizer(Tacotron(TINY))
    assert phonemes._ids("hello there") == phonemes._ids("hello there.") == phonemes.front_end.encode("hello there.")
    for text in ("hello there!", "hello there,"):
        assert phonemes._ids(text) == phonemes.front_end.encode(text)
    assert letters._ids("hello there") == letters.front_end.encode("hello there"), "as RTVC reads it"


def test_contrast_is_a_power_of_the_amplitudes_that_keeps_the_loudness(tiny):
    before = Synthesizer(tiny).synthesize("hello there", EMBED, seed=1).mel
    tiny.cfg = dataclasses.replace(tiny.cfg, contrast=1.5)
    after = Synthesizer(tiny).synthesize("hello there", EMBED, seed=1).mel
    inside = after > -4
    # A power of the amplitude is a factor in decibels, and a constant keeps the loudness.
    np.testing.assert_allclose((after - 1.5 * before)[inside], (after - 1.5 * before)[inside][0], atol=1e-3)
    amplitudes = [np.linalg.norm(denormalize_db(torch.from_numpy(mel), tiny.cfg.mel)) for mel in (before, after)]
    assert amplitudes[1] == pytest.approx(amplitudes[0], rel=0.01)
    assert after.std() > 1.2 * before.std()


def test_stretched_mels_take_longer_at_the_same_pitch():
    bands, frames = np.mgrid[0:80, 0:50].astype(np.float32)
    mel, symbols = np.sin(bands) + frames / 50, np.repeat(np.arange(10), 5)
    longer, said = inference.stretched(mel, symbols, 1.2)
    assert longer.shape == (80, 60) and np.bincount(said).tolist() == [6] * 10
    np.testing.assert_allclose(longer, np.sin(bands[:, :1]) + np.linspace(0, 49, 60)[None] / 50, atol=1e-4)
    same, _ = inference.stretched(mel, symbols, 1.0)
    assert np.array_equal(same, mel)


@pytest.mark.parametrize("detail", [None, DetailConfig(dims=8, hidden=8, layers=1, kernel=3)])
def test_a_model_of_fast_readers_speaks_slower(tiny, detail):
    torch.nn.init.constant_(tiny.decoder.stop_proj.bias, 50.0)
    if detail is not None:
        tiny.add_detailer(detail)
    fast = Synthesizer(tiny).synthesize("hello there", EMBED, seed=1)
    tiny.cfg = dataclasses.replace(tiny.cfg, stretch=1.5)
    slow = Synthesizer(tiny).synthesize("hello there", EMBED, seed=1)
    assert slow.mel.shape[1] == round(1.5 * fast.mel.shape[1])
    assert np.array_equal(slow.alignments[0], fast.alignments[0])
    with pytest.raises(ModelError, match="stretch"):
        dataclasses.replace(tiny.cfg, stretch=3.0)


@pytest.mark.parametrize(("speed", "times"), [(0.5, 2.0), (1.25, 0.8)])
def test_speed_changes_lengths_and_pauses_only(tiny, speed, times):
    torch.nn.init.constant_(tiny.decoder.stop_proj.bias, 50.0)
    usual = Synthesizer(tiny).synthesize("Hello there.\nGood morning.", EMBED, seed=1)
    other = Synthesizer(tiny).synthesize("Hello there.\nGood morning.", EMBED, seed=1, speed=speed)
    assert [mel.shape[1] for mel in other.mels] == [round(times * mel.shape[1]) for mel in usual.mels]
    assert other.pauses == pytest.approx([times * pause for pause in usual.pauses]) and usual.pauses[0] > 0
    assert other.segments == usual.segments


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.49, 2.1, float("nan")])
def test_impossible_speeds_are_text_errors(tiny, speed):
    with pytest.raises(TextError, match="speed must be between"):
        next(Synthesizer(tiny).stream("hello", EMBED, speed=speed))


def test_a_line_says_the_same_alone_and_in_a_batch(tiny):
    torch.nn.init.constant_(tiny.decoder.stop_proj.bias, 50.0)
    synthesizer = Synthesizer(tiny)
    one, two = "A first sentence is here.", "And the second one is there."
    streamed = [part.mel for part in synthesizer.stream(f"{one}\n{two}\nA third.", EMBED, seed=3)]
    whole = synthesizer.synthesize(f"{one}\n{two}\nA third.", EMBED, seed=3).mels
    assert all(np.array_equal(a, b) for a, b in zip(streamed, whole, strict=True))
    np.testing.assert_allclose(synthesizer.synthesize(one, EMBED, seed=3).mels[0], streamed[0], atol=1e-5)


def test_two_thousand_words_and_one(speaking):
    text = "Some words follow one another without an end in sight, and then they stop. " * 140
    result = speaking.synthesize(text, EMBED)
    assert sum(len(s.text.split()) for s in result.segments) == len(text.split())
    assert max(len(ids) for ids, _ in speaking.calls) <= inference.BATCH
    assert len(speaking.synthesize("Yes", EMBED).mels) == 1


def test_a_failed_line_is_tried_again_with_another_seed(speaking):
    ids = speaking.front_end.encode("Hello there.")
    speaking.bad |= {(1, len(ids)), (2, len(ids))}
    segment = speaking.synthesize("Hello there.", EMBED, seed=5).segments[0]
    assert segment.ok and segment.tries == 3
    seeds = [seeds[0] for _, seeds in speaking.calls]
    assert len(set(seeds)) == 3 and segment.seed == seeds[-1]


def test_a_line_that_always_fails_says_so(speaking):
    ids = speaking.front_end.encode("Hello there.")
    speaking.bad |= {(n, len(ids)) for n in range(1, 10)}
    segment = speaking.synthesize("Hello there.", EMBED).segments[0]
    assert not segment.ok and "it did not come to an end" in segment.warnings
    assert len(speaking.calls) == MAX_TRIES


def test_only_the_failed_line_of_a_batch_is_tried_again(speaking):
    text = "This is one.\nAnd this here is number two.\nThree is short."
    lengths = [part.alignment.shape[1] for part in speaking.stream(text, EMBED, seed=1)]
    speaking.calls.clear()
    speaking.bad.add((2, lengths[1]))
    spoken = list(speaking.stream(text, EMBED, seed=1))
    assert [len(ids) for ids, _ in speaking.calls] == [1, 2, 1]
    assert [part.segment.tries for part in spoken] == [1, 2, 1]


@pytest.mark.parametrize("text", ["", "   \n ", "...", "!?"])
def test_nothing_to_say_is_an_error(tiny, text):
    with pytest.raises(TextError, match="nothing to say"):
        Synthesizer(tiny).synthesize(text, EMBED)


def test_the_same_seed_gives_the_same_mels(tiny):
    torch.nn.init.constant_(tiny.decoder.stop_proj.bias, 50.0)
    synthesizer = Synthesizer(tiny)
    first, again = (synthesizer.synthesize("One. Two and three.", EMBED, seed=3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first.mels, again.mels, strict=True))


def test_progress_runs_from_start_to_end(tiny):
    seen = []
    Synthesizer(tiny).synthesize("One word.", EMBED, seed=0, progress=lambda *a: seen.append(a))
    assert seen[-1][0] == seen[-1][1] and all(0 <= done <= total for done, total in seen)


def test_rtvc_names(tiny, tmp_path, speechlike):
    path = write_checkpoint(
        tmp_path / "synthesizer",
        kind="synthesizer",
        architecture="tacotron",
        config=tiny.cfg.to_dict(),
        state=tiny.state_dict(),
        card={},
    )
    synthesizer = Synthesizer(path)
    assert not synthesizer.is_loaded() and synthesizer.sample_rate == 16000
    specs, alignments = synthesizer.synthesize_spectrograms(["hello", "hello you"], [EMBED, EMBED], True)
    assert synthesizer.is_loaded() and synthesizer.hparams.r == 2
    assert [s.shape[0] for s in specs] == [80, 80]
    assert alignments[0].shape[0] == len(synthesizer.front_end.encode("hello"))
    with pytest.raises(TextError, match="embeddings"):
        synthesizer.synthesize_spectrograms(["a", "b"], [EMBED] * 3)
    save_wav(tmp_path / "voice.wav", speechlike(1.0), 16000)
    wav = Synthesizer.load_preprocess_wav(tmp_path / "voice.wav")
    assert np.abs(wav).max() == pytest.approx(0.9, abs=1e-3)
    mel = Synthesizer.make_spectrogram(tmp_path / "voice.wav")
    assert mel.shape == (80, 81)
    assert Synthesizer.griffin_lim(mel).shape == (16000,)


def test_what_is_prepared_is_not_made_again(tiny):
    synthesizer = Synthesizer(tiny)
    synthesizer.prepare()
    weights, front_end = synthesizer._weights, synthesizer._front_end
    assert weights is not None and front_end is not None
    synthesizer.synthesize("hello", EMBED, seed=1)
    assert synthesizer._weights is weights and synthesizer._front_end is front_end


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        Synthesizer(tmp_path / "nowhere.pt").load()


def test_mels_match_the_reference(reference):
    values = reference("synthesizer.npz")
    np.testing.assert_allclose(Synthesizer.make_spectrogram(values["wav"]), values["mel"], atol=4e-4)
