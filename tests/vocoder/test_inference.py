import json

import numpy as np
import pytest
import torch

from audio.errors import AudioError, Cancelled, ModelError
from audio.signal import fade_out
from models.registry import ModelRegistry
from vocoder import inference
from vocoder.generation import Speaker, generate
from vocoder.griffin_lim import GriffinLimVocoder
from vocoder.inference import WaveRNNVocoder, load_vocoder
from vocoder.signal import PlainSound


@pytest.fixture
def unloaded(monkeypatch):
    """The module-level functions without a model, before and after."""
    monkeypatch.setattr(inference._Loaded, "vocoder", None)


@pytest.mark.parametrize("frames", [1, 2, 3, 12])
@pytest.mark.parametrize(
    "make", [lambda network: WaveRNNVocoder(network, target=500, overlap=60), lambda _: GriffinLimVocoder(n_iter=2)]
)
def test_any_length_gives_a_wav(make, tiny_network, random_mel, frames):
    vocoder = make(tiny_network())
    calls = []
    wav = vocoder.vocode(random_mel(frames), seed=1, progress=lambda done, total: calls.append(done / total))
    assert wav.dtype == np.float32 and wav.shape == (200 * max(frames - 1, 1),)
    assert np.isfinite(wav).all()
    assert calls[-1] == 1.0
    assert vocoder.sample_rate == 16000 and vocoder.name
    np.testing.assert_array_equal(wav, vocoder.vocode(random_mel(frames), seed=1))


def test_griffin_lim_streams_its_whole_result_as_one_piece(random_mel):
    vocoder = GriffinLimVocoder(n_iter=2)
    (piece,) = vocoder.stream(random_mel(20), seed=1)
    np.testing.assert_array_equal(piece, vocoder.vocode(random_mel(20), seed=1))


def test_unfolded_and_training_mode(tiny_network, random_mel):
    network = tiny_network().train()
    vocoder = WaveRNNVocoder(network, batched=False)
    assert vocoder.plan(100).count == 1
    wav = vocoder.vocode(random_mel(4), seed=0)
    assert network.training
    np.testing.assert_array_equal(wav, WaveRNNVocoder(network.eval(), batched=False).vocode(random_mel(4), seed=0))


@pytest.mark.parametrize("frames", [1, 7, 60])
def test_pieces_join_to_the_whole(tiny_network, random_mel, frames):
    mel, calls = random_mel(frames), []
    vocoder = WaveRNNVocoder(tiny_network())
    pieces = list(vocoder.stream(mel, seed=3, progress=lambda done, total: calls.append(done / total)))
    whole = WaveRNNVocoder(tiny_network(), batched=False).vocode(mel, seed=3)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert calls == sorted(calls) and calls[-1] == 1.0
    if frames == 60:
        assert len(pieces[0]) == 1600 and max(map(len, pieces)) <= 8000
        # As one: companding, de-emphasis and the fade at the end go on over the joints.
        vocoder = WaveRNNVocoder(tiny_network(), batched=False)
        plan, scaled = vocoder.plan(60), torch.from_numpy(mel) / 4
        signal = generate(Speaker(vocoder.network, vocoder.precision), scaled, plan, seed=3)
        expected = fade_out(PlainSound(vocoder.cfg, mel).of(signal), 20 * 200)
        np.testing.assert_allclose(whole, expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 7, 60])
def test_pieces_of_predicted_and_matched_sound_join_to_the_whole(tiny_network, random_mel, frames):
    mel, network = random_mel(frames), tiny_network(prediction=16, matching=2)
    pieces = list(WaveRNNVocoder(network).stream(mel, seed=3))
    whole = WaveRNNVocoder(network, batched=False).vocode(mel, seed=3)
    assert len(whole) == 200 * max(frames - 1, 1) and all(map(len, pieces))
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    folded = WaveRNNVocoder(network, target=2000, overlap=200)
    assert folded.vocode(mel, seed=3).shape == whole.shape


def test_folds_are_matched_a_little_at_a_time_and_that_can_be_cancelled(monkeypatch, tiny_network, random_mel):
    mel, network = random_mel(80), tiny_network(prediction=16, matching=2)
    vocoder, ends = WaveRNNVocoder(network, target=4000, overlap=400), []
    whole = vocoder.vocode(mel, seed=4)
    monkeypatch.setattr(inference, "SOUND_SAMPLES", 3000)

    def note(done, total):
        ends.extend([done] if done == total else [])

    np.testing.assert_allclose(vocoder.vocode(mel, seed=4, progress=note), whole, atol=1e-6)
    assert len(ends) > 1 + 2 * 6  # of the network, and of each round on each piece

    count = len(ends)

    def stop(done, total):
        note(done, total)
        if len(ends) == count + 16:
            raise Cancelled

    with pytest.raises(Cancelled):
        vocoder.vocode(mel, seed=4, progress=stop)


def test_griffin_lim_streams_one_piece(random_mel):
    vocoder = GriffinLimVocoder(n_iter=2)
    (piece,) = vocoder.stream(random_mel(5), seed=1)
    np.testing.assert_array_equal(piece, vocoder.vocode(random_mel(5), seed=1))


def test_a_stream_can_be_cancelled_and_left(tiny_network, random_mel):
    def cancel(done, total):
        if done > 1600:
            raise Cancelled

    pieces = WaveRNNVocoder(tiny_network()).stream(random_mel(40), progress=cancel)
    assert len(next(pieces)) == 1600
    with pytest.raises(Cancelled):
        next(pieces)


def test_only_long_sounds_fade_out_and_none_that_is_matched(tiny_network, random_mel):
    vocoder = WaveRNNVocoder(tiny_network(), target=2000, overlap=100)
    assert vocoder.vocode(random_mel(25), seed=0)[-1] == 0
    assert vocoder.vocode(random_mel(15), seed=0)[-1] != 0
    matched = WaveRNNVocoder(tiny_network(matching=1), target=2000, overlap=100)
    assert matched.vocode(random_mel(25), seed=0)[-1] != 0


@pytest.mark.parametrize("mel", [np.zeros((80, 0)), np.zeros((40, 5)), np.zeros(80), np.full((80, 5), np.nan)])
def test_what_is_no_mel_is_an_audio_error(tiny_network, mel):
    for vocoder in (WaveRNNVocoder(tiny_network()), GriffinLimVocoder()):
        with pytest.raises(AudioError, match="mel spectrogram"):
            vocoder.vocode(mel)
        with pytest.raises(AudioError, match="mel spectrogram"):
            vocoder.stream(mel)


def test_the_precision_may_change_between_two_sounds(tiny_network, random_mel):
    vocoder, sounds = WaveRNNVocoder(tiny_network(mode="MOL")), []
    for vocoder.precision in ("float32", "int8", "float32"):
        sounds.append(vocoder.vocode(random_mel(6), seed=0))
    assert np.array_equal(sounds[0], sounds[2]) and not np.array_equal(sounds[0], sounds[1])


def test_impossible_folds_are_an_audio_error(tiny_network, random_mel):
    with pytest.raises(AudioError, match="target"):
        WaveRNNVocoder(tiny_network(), target=0).vocode(random_mel(4))


def test_cancel(tiny_network, random_mel):
    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        WaveRNNVocoder(tiny_network()).vocode(random_mel(4), progress=cancel)


def test_files_load_alike_through_the_registry(saved_model, random_mel, tmp_path):
    direct = WaveRNNVocoder.from_file(saved_model, "cpu")
    registry = ModelRegistry([tmp_path], standard_roots=False)
    loaded = load_vocoder(registry, str(saved_model), "cpu")
    assert isinstance(loaded, WaveRNNVocoder)
    np.testing.assert_array_equal(direct.vocode(random_mel(4), seed=2), loaded.vocode(random_mel(4), seed=2))
    assert isinstance(load_vocoder(registry, "Griffin-Lim"), GriffinLimVocoder)


def test_original_files_load_by_their_shapes(tmp_path, tiny_network, random_mel):
    network = tiny_network()
    path = tmp_path / "vocoder.pt"
    torch.save({"model_state": network.state_dict(), "optimizer_state": {}}, path)
    wav = WaveRNNVocoder.from_file(path, "cpu").vocode(random_mel(4), seed=2)
    np.testing.assert_array_equal(wav, WaveRNNVocoder(network).vocode(random_mel(4), seed=2))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:2000])


def _other_sizes(path):
    description = path.with_suffix(".json")
    values = json.loads(description.read_text())
    values["config"]["rnn_dims"] = 999
    description.write_text(json.dumps(values))


def _unknown_setting(path):
    description = path.with_suffix(".json")
    values = json.loads(description.read_text())
    values["config"]["warp"] = 9
    description.write_text(json.dumps(values))


@pytest.mark.parametrize("damage", [_truncate, _other_sizes, _unknown_setting, lambda path: path.unlink()])
def test_unusable_files_are_model_errors_that_name_the_file(saved_model, damage):
    damage(saved_model)
    with pytest.raises(ModelError, match=saved_model.stem):
        WaveRNNVocoder.from_file(saved_model, "cpu")


def test_names_that_rtvc_scripts_use(unloaded, saved_model, random_mel):
    assert not inference.is_loaded()
    with pytest.raises(ModelError, match="load_model"):
        inference.infer_waveform(random_mel(4))
    inference.load_model(saved_model, verbose=False)
    assert inference.is_loaded()
    calls = []
    mel = random_mel(9)
    wav = inference.infer_waveform(
        mel, target=200, overlap=50, progress_callback=lambda *call: calls.append(call), seed=4
    )
    assert wav.shape == (1600,)
    np.testing.assert_array_equal(
        wav, inference.infer_waveform(mel / 4, normalize=False, target=200, overlap=50, seed=4)
    )
    step, steps, folds, rate = calls[-1]
    assert step == steps and steps * folds >= 1600 and folds > 1 and rate > 0
    assert len(inference.infer_waveform(mel, batched=False, seed=4)) == 1600


def test_model_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "encoder.pt"
    state = {
        "similarity_weight": torch.ones(1),
        "lstm.weight_ih_l0": torch.zeros(4, 4),
        "linear.weight": torch.zeros(4, 4),
    }
    torch.save({"model_state": state, "step": 3}, path)
    with pytest.raises(ModelError, match="encoder"):
        WaveRNNVocoder.from_file(path, "cpu")
