"""Clips to embeddings: reference values, slices, batching, bounded memory, errors, the names that scripts import."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import AudioError, ModelError, NonFiniteAudioError, ShortAudioError, SilentAudioError
from encoder import inference
from encoder.config import EncoderConfig
from encoder.inference import VoiceEncoder, compute_partial_slices, normalized_mean, preprocess
from encoder.network import SpeakerEncoder
from models.checkpoint import write_checkpoint
from tests.seeded import seeded_state

PUBLIC_ENCODER = Path(__file__).resolve().parents[2] / "models" / "default" / "encoder.pt"
TINY = EncoderConfig(hidden=12, layers=1, embed=8)


@pytest.fixture(scope="module")
def tiny() -> VoiceEncoder:
    torch.manual_seed(0)
    return VoiceEncoder(SpeakerEncoder(TINY), "cpu")


@pytest.fixture(scope="module")
def public() -> VoiceEncoder:
    if not PUBLIC_ENCODER.is_file():
        pytest.skip("the public encoder is not on this machine")
    return VoiceEncoder.from_file(PUBLIC_ENCODER, "cpu")


@pytest.fixture
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(inference._Loaded, "encoder", None)


def test_reference_slices(reference):
    expected = reference("partial_slices.json")
    for n_samples, slices in zip(expected["n_samples"], expected["mel_slices"], strict=True):
        wav_slices, mel_slices = compute_partial_slices(n_samples)
        assert [[cut.start, cut.stop] for cut in mel_slices] == slices
        assert [[cut.start, cut.stop] for cut in wav_slices] == [[160 * a, 160 * b] for a, b in slices]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 500_000),
    st.integers(1, 200),
    st.floats(0.05, 1.0),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9]),
)
def test_slices_are_equal_long_evenly_spaced_and_cover_the_clip(n_samples, frames, coverage, overlap):
    wav_slices, mel_slices = compute_partial_slices(n_samples, frames, coverage, overlap)
    step = max(round(frames * (1 - overlap)), 1)
    assert [cut.start for cut in mel_slices] == [index * step for index in range(len(mel_slices))]
    assert all(cut.stop - cut.start == frames for cut in mel_slices)
    assert [(cut.start, cut.stop) for cut in wav_slices] == [(160 * c.start, 160 * c.stop) for c in mel_slices]
    last = wav_slices[-1]
    if len(wav_slices) > 1:
        assert n_samples - last.start >= coverage * (last.stop - last.start)
    # What is left over at the end would have covered too little of another partial.
    assert n_samples - last.stop < coverage * (last.stop - last.start)


@pytest.mark.parametrize(("coverage", "overlap"), [(0.0, 0.5), (1.1, 0.5), (0.75, 1.0), (0.75, -0.1)])
def test_slices_refuse_impossible_settings(coverage, overlap):
    with pytest.raises(ValueError, match="must lie in"):
        compute_partial_slices(16000, 160, coverage, overlap)


def test_reference_preprocessing(reference):
    values = reference("encoder.npz")
    wav = preprocess(values["wav"])
    assert wav.shape == values["preprocessed"].shape
    np.testing.assert_allclose(wav, values["preprocessed"], rtol=1e-4, atol=1e-6)


def test_reference_embeddings_with_seeded_weights(reference):
    values = reference("encoder.npz")
    network = SpeakerEncoder(EncoderConfig())
    network.load_state_dict(seeded_state("encoder", reference("layouts.json")))
    embed, partials, slices = VoiceEncoder(network, "cpu").embed_utterance(values["preprocessed"], return_partials=True)
    np.testing.assert_allclose(embed, values["utterance_embed"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(partials, values["partial_embeds"], rtol=1e-4, atol=1e-5)
    assert len(slices) == len(partials)


def test_reference_embedding_with_the_public_checkpoint(reference, public):
    embed = public.embed_utterance(reference("encoder.npz")["preprocessed"])
    np.testing.assert_allclose(
        embed, reference("encoder_public_checkpoint.npz")["utterance_embed"], rtol=1e-4, atol=1e-5
    )


def test_clips_embedded_together_equal_clips_embedded_alone(tiny, speechlike):
    wavs = [speechlike(seconds, seed=seed) for seed, seconds in enumerate((0.7, 1.6, 5.3, 12.0))]
    together = tiny.embed_utterances(wavs)
    assert together.shape == (4, 8)
    alone = np.stack([tiny.embed_utterance(wav) for wav in wavs])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert tiny.embed_utterances([]).shape == (0, 8)


def test_mels_made_in_blocks_equal_the_whole_spectrogram(tiny, speechlike, monkeypatch):
    wav = speechlike(9.0)
    whole = tiny.embed_partials([wav])[0].embeds
    monkeypatch.setattr(inference, "BATCH_PARTIALS", 2)
    np.testing.assert_allclose(tiny.embed_partials([wav])[0].embeds, whole, atol=1e-6)
    full = np.asarray(tiny._transform(wav)).T
    np.testing.assert_allclose(tiny._mel_frames(wav, 300, 460), full[300:460], rtol=1e-4, atol=1e-7)


def test_long_clips_are_read_in_bounded_batches_with_progress(tiny, speechlike, monkeypatch):
    rows = []
    embed_frames = tiny.embed_frames
    monkeypatch.setattr(tiny, "embed_frames", lambda frames: rows.append(len(frames)) or embed_frames(frames))
    seen = []
    wav = np.tile(speechlike(10.0), 12)
    partials = tiny.embed_partials([wav], progress=lambda done, total: seen.append((done, total)))[0]
    assert max(rows) == inference.BATCH_PARTIALS
    assert seen[-1] == (len(partials.embeds), len(partials.embeds))
    assert len(partials.embeds) == len(partials.wav_slices) == 149


def test_centroid_of_clips_is_their_normalised_mean(tiny, speechlike):
    wavs = [speechlike(2.0, seed=seed) for seed in range(3)]
    np.testing.assert_allclose(tiny.embed_speaker(wavs), normalized_mean(tiny.embed_utterances(wavs)), atol=1e-6)
    assert np.linalg.norm(tiny.embed_speaker(wavs)) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(AudioError, match="at least one recording"):
        tiny.embed_speaker([])


def test_agreement_of_partials_tells_an_even_clip_from_a_mixed_one(public, speechlike):
    even, other = speechlike(6.0, seed=1), 0.2 * np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    mixed = np.concatenate([even[:48000], other])
    steady, changing = public.embed_partials([even, mixed])
    assert changing.agreement < steady.agreement <= 1.0 + 1e-6
    assert len(changing.similarities) == len(changing.wav_slices)


@pytest.mark.parametrize(
    ("wav", "error"),
    [
        (np.zeros(32000, np.float32), SilentAudioError),
        (np.full(32000, 1e-6, np.float32), SilentAudioError),
        (np.zeros(0, np.float32), ShortAudioError),
        (np.full(3000, 0.1, np.float32), ShortAudioError),
        (np.full(32000, np.nan, np.float32), NonFiniteAudioError),
        (np.full(32000, np.inf, np.float32), NonFiniteAudioError),
        (np.ones((2, 32000), np.float32), AudioError),
    ],
)
def test_clips_without_a_voice_are_refused(tiny, wav, error):
    for function in (tiny.embed_utterance, tiny.embed_whole, tiny.preprocess):
        with pytest.raises(error):
            function(wav)


def test_noise_without_speech_is_refused(tiny):
    hum = (0.05 * np.sin(2 * np.pi * 50 * np.arange(48000) / 16000)).astype(np.float32)
    with pytest.raises(AudioError, match="speech"):
        tiny.preprocess(hum)


def test_preprocessing_resamples_and_raises_quiet_clips_only(tiny, speechlike):
    quiet = 0.002 * speechlike(3.0, sample_rate=44100)
    wav = tiny.preprocess(quiet, 44100)
    assert wav.dtype == np.float32
    assert len(wav) <= 48000 + 480
    assert 10 * np.log10(np.mean(wav**2)) > -33
    loud = speechlike(3.0)
    assert np.abs(tiny.preprocess(loud)).max() <= np.abs(loud).max() + 1e-6


def test_preprocessing_reads_files(tiny, speechlike, tmp_path):
    from audio.io import save_wav

    path = tmp_path / "clip.wav"
    save_wav(path, speechlike(3.0), 16000)
    np.testing.assert_allclose(tiny.preprocess(path), tiny.preprocess(speechlike(3.0)), atol=1e-3)
    with pytest.raises(AudioError):
        tiny.preprocess(tmp_path / "absent.wav")


def test_functions_known_from_rtvc_work_in_their_order(nothing_loaded, speechlike, tmp_path):
    path = write_checkpoint(
        tmp_path / "encoder.safetensors",
        kind="encoder",
        architecture="speaker_encoder",
        config=TINY.to_dict(),
        state=SpeakerEncoder(TINY).state_dict(),
        card={},
    )
    assert not inference.is_loaded()
    with pytest.raises(ModelError, match="load_model"):
        inference.embed_utterance(speechlike(2.0))
    inference.load_model(path, device="cpu")
    assert inference.is_loaded()
    wav = inference.preprocess_wav(speechlike(4.0), 16000)
    embed, partials, slices = inference.embed_utterance(wav, return_partials=True)
    assert embed.shape == (8,)
    assert len(partials) == len(slices) == len(compute_partial_slices(len(wav))[0])
    whole, no_partials, no_slices = inference.embed_utterance(wav, using_partials=False, return_partials=True)
    assert whole.shape == (8,) and no_partials is None and no_slices is None
    more = inference.embed_utterance(wav, return_partials=True, overlap=0.75)[1]
    assert len(more) > len(partials)
    assert inference.embed_frames_batch(np.random.rand(3, 160, 40).astype(np.float32)).shape == (3, 8)
    assert inference.embed_speaker([wav, wav]) == pytest.approx(embed, abs=1e-5)


def test_original_file_without_config_loads(tmp_path, speechlike):
    path = tmp_path / "encoder.pt"
    torch.save({"step": 5, "model_state": SpeakerEncoder(TINY).state_dict()}, path)
    assert VoiceEncoder.from_file(path, "cpu").embed_utterance(speechlike(2.0)).shape == (8,)


def test_file_that_is_no_encoder_is_refused(tmp_path, nothing_loaded):
    (tmp_path / "encoder.pt").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="encoder.pt"):
        inference.load_model(tmp_path / "encoder.pt", "cpu")
    assert not inference.is_loaded()


def test_clips_of_one_speaker_are_nearer_to_each_other_than_to_others(shared_dir, public):
    folder = shared_dir / "corpus" / "LibriSpeech" / "speechocean"
    if not folder.is_dir():
        pytest.skip("no speech corpus on this machine")
    table = (shared_dir / "corpus" / "LibriSpeech" / "SPEAKERS.TXT").read_text(encoding="utf-8")
    ages = dict(re.findall(r"^(\d+) .*, age (\d+),", table, flags=re.MULTILINE))
    adults = [d for d in sorted(folder.iterdir()) if d.is_dir() and int(ages.get(d.name, 0)) >= 18]
    clips = {}
    for speaker in adults:
        found = sorted(speaker.rglob("*.opus"), key=lambda path: -path.stat().st_size)
        if len(found) >= 3:
            clips[speaker.name] = [public.preprocess(path) for path in found[:3]]
        if len(clips) == 12:
            break
    assert len(clips) == 12
    embeds = public.embed_utterances([wav for wavs in clips.values() for wav in wavs])
    cosines = embeds @ embeds.T
    speaker = np.repeat(np.arange(12), 3)
    same = (speaker[:, None] == speaker) & ~np.eye(36, dtype=bool)
    other = speaker[:, None] != speaker
    assert cosines[same].mean() > cosines[other].mean() + 0.15
    nearest = np.where(np.eye(36, dtype=bool), -1.0, cosines).argmax(axis=1)
    assert (speaker[nearest] == speaker).mean() >= 0.9
