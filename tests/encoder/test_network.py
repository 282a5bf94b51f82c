"""The network and its config: reference values, names of the original state dict, sizes out of a state dict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audio.errors import ModelError
from audio.mel import ENCODER_MEL
from encoder.config import EncoderConfig
from encoder.network import SpeakerEncoder
from tests.seeded import seeded_state

TINY = EncoderConfig(hidden=12, layers=2, embed=8)


def test_state_dict_has_the_original_names_and_shapes(reference):
    layout = reference("layouts.json")["layouts"]["encoder"]
    state = SpeakerEncoder(EncoderConfig()).state_dict()
    assert [[name, list(value.shape)] for name, value in state.items()] == [entry[:2] for entry in layout]


def test_embeddings_of_frames_equal_the_reference(reference):
    values = reference("encoder.npz")
    network = SpeakerEncoder(EncoderConfig()).eval()
    network.load_state_dict(seeded_state("encoder", reference("layouts.json")))
    with torch.no_grad():
        embeds = network(torch.from_numpy(values["frames"])).numpy()
    np.testing.assert_allclose(embeds, values["frame_embeds"], rtol=1e-4, atol=1e-5)


def test_embeddings_are_unit_vectors_without_negative_entries():
    embeds = SpeakerEncoder(TINY)(torch.rand(5, 30, 40))
    assert embeds.shape == (5, 8)
    assert (embeds >= 0).all()
    torch.testing.assert_close(embeds.norm(dim=1), torch.ones(5))


def test_a_projection_that_is_all_zero_gives_no_nan():
    network = SpeakerEncoder(TINY)
    with torch.no_grad():
        network.linear.weight.zero_()
        network.linear.bias.fill_(-1.0)
    embeds = network(torch.rand(2, 10, 40))
    assert torch.equal(embeds, torch.zeros(2, 8))
    embeds.sum().backward()
    assert torch.isfinite(network.linear.weight.grad).all()


def test_embedding_does_not_depend_on_the_batch():
    network = SpeakerEncoder(TINY).eval()
    mels = torch.rand(4, 20, 40)
    torch.testing.assert_close(network(mels)[1:2], network(mels[1:2]))


def test_with_log_mels_a_gain_is_a_shift_of_what_the_lstm_reads():
    heard = []
    network = SpeakerEncoder(EncoderConfig(hidden=8, layers=1, embed=4, log_mels=True))
    network.lstm.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    mels = torch.rand(2, 20, 40) + 0.1
    for factor in (1.0, 100.0):
        network(factor * mels)
    difference = heard[1] - heard[0]
    torch.testing.assert_close(difference, torch.full_like(difference, float(difference.mean())), atol=1e-4, rtol=0)
    assert float(difference.mean()) > 0.5


def test_silence_is_a_finite_embedding_with_log_mels():
    network = SpeakerEncoder(EncoderConfig(hidden=8, layers=1, embed=4, log_mels=True))
    assert torch.isfinite(network(torch.zeros(1, 20, 40))).all()


def test_config_survives_json_and_state_dict():
    cfg = replace(TINY, mel_n=20, mel=replace(ENCODER_MEL, n_mels=20), partial_frames=80)
    assert EncoderConfig.from_dict(cfg.to_dict()) == cfg
    sizes = EncoderConfig.from_state_dict(SpeakerEncoder(cfg).state_dict())
    assert sizes == replace(cfg, partial_frames=160)
    assert EncoderConfig.from_state_dict(SpeakerEncoder(EncoderConfig()).state_dict()) == EncoderConfig()


def test_config_that_makes_no_sense_is_refused():
    with pytest.raises(ModelError, match="newer version"):
        EncoderConfig.from_dict({"colour": 1})
    with pytest.raises(ModelError, match="not a speaker encoder"):
        EncoderConfig.from_state_dict({"a": torch.zeros(1)})
    with pytest.raises(ModelError, match="mel bands"):
        SpeakerEncoder(EncoderConfig(mel_n=20))
    with pytest.raises(ModelError, match="partial_overlap"):
        EncoderConfig(partial_overlap=1.0)
