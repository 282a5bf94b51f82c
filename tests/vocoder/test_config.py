import dataclasses
import json

import pytest
import torch

from audio.errors import ModelError
from vocoder.config import WaveRNNConfig
from vocoder.wavernn import WaveRNN


@pytest.mark.parametrize("changes", [{}, {"mode": "MOL", "pad": 1}, {"bits": 8, "upsample_factors": (4, 5, 10)}])
def test_dict_round_trip_and_sizes_from_shapes(tiny_config, changes):
    cfg = tiny_config(**changes)
    assert WaveRNNConfig.from_dict(json.loads(json.dumps(cfg.to_dict()))) == cfg
    assert WaveRNNConfig.from_state_dict(WaveRNN(cfg).state_dict()) == cfg


@pytest.mark.parametrize(
    "changes",
    [
        {"upsample_factors": (5, 5, 5)},
        {"mode": "GAUSS"},
        {"bits": 1},
        {"res_out_dims": 10},
        {"rnn_dims": 0},
        {"upsample_factors": ()},
    ],
)
def test_settings_that_contradict_each_other_are_named(tiny_config, changes):
    with pytest.raises(ModelError, match=next(iter(changes)) if "bits" not in changes else "bits"):
        tiny_config(**changes)


def test_unknown_settings_and_foreign_weights_are_model_errors(tiny_config):
    with pytest.raises(ModelError, match="warp"):
        WaveRNNConfig.from_dict({"warp": 9})
    with pytest.raises(ModelError, match="rnn_dims"):
        WaveRNNConfig.from_dict({"rnn_dims": "many"})
    with pytest.raises(ModelError, match="not a WaveRNN"):
        WaveRNNConfig.from_state_dict({"linear.weight": torch.zeros(2, 2)})
    state = WaveRNN(tiny_config()).state_dict()
    state["fc3.weight"] = torch.zeros(77, 12)
    with pytest.raises(ModelError, match="77 outputs"):
        WaveRNNConfig.from_state_dict(state)


def test_config_is_frozen(tiny_config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny_config().bits = 8
