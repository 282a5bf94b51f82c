import numpy as np
import pytest
import torch
from torch.nn import functional as F

from audio.errors import ModelError
from vocoder import wavenet_kernel as kernel
from vocoder.config import WaveNetConfig
from vocoder.inference import WaveNetVocoder
from vocoder.wavenet import WaveNet, interpolate
from vocoder.wavenet_compiled import CompiledWaveNet, CompiledWaveNetLoop
from vocoder.wavenet_loop import WaveNetLoop, frames_of


def whole_pass(network, mel, x):
    """Outputs (B, S, n_classes) of the convolutions over whole x (B, S), which begins with the mel."""
    pad = network.cfg.pad
    with torch.inference_mode():
        return network(x.unsqueeze(1), F.pad(mel, (pad, pad), value=-1.0)[None].expand(len(x), -1, -1)).transpose(1, 2)


def test_the_published_form_has_thirty_layers_in_three_cycles():
    network = WaveNet()
    assert network.cfg.dilations == tuple(2**n for n in range(10)) * 3
    assert network.receptive_field == 3 * 1023 + 1
    assert WaveNet(WaveNetConfig(kernel=3, residual=4, gate=4, skip=4, local=4)).receptive_field == 6 * 1023 + 1


@pytest.mark.parametrize("changes", [{}, {"kernel": 3}])
def test_a_sample_depends_on_its_receptive_field_and_on_nothing_before_or_after(tiny_wavenet, mel, changes):
    network, place = tiny_wavenet(**changes), 600
    x = (torch.rand(1, 1, 1200) * 2 - 1).requires_grad_()
    network(x, F.pad(mel, (2, 2), value=-1.0)[None])[0, :, place].sum().backward()
    (depends,) = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert depends.max() == place and depends.min() == place - network.receptive_field + 1


def test_mels_are_linear_between_frames(tiny_wavenet):
    line = interpolate(torch.tensor([[[0.0, 1.0, -1.0]]]), 4)
    torch.testing.assert_close(line[0, 0], torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0, -0.5]))


@pytest.mark.parametrize("changes", [{}, {"mode": "MOL"}, {"kernel": 3, "pad": 3}, {"residual": 19, "gate": 7}])
def test_cached_steps_have_the_outputs_of_the_full_convolution(tiny_wavenet, mel, changes):
    network, x = tiny_wavenet(**changes), torch.rand(7, 1200) * 2 - 1
    expected = whole_pass(network, mel, x)
    compiled = CompiledWaveNetLoop(CompiledWaveNet(network), network, mel, 2)
    compiled.begin(np.zeros(7, dtype=np.int64))
    parts = [compiled.outputs(np.ascontiguousarray(part)) for part in np.split(x.numpy(), [1, 333], axis=1)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, rtol=1e-4, atol=1e-4)
    loop = WaveNetLoop(network, mel)
    loop.begin(np.zeros(7, dtype=np.int64))
    with torch.inference_mode():
        local = loop.conditioning(1200)
        stepped = torch.stack([loop.step(x[:, t], local[t]) for t in range(1200)], dim=1)
    torch.testing.assert_close(stepped, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("precision", "divergence"), [("int16", 1e-6), ("int8", 1e-3)])
def test_whole_numbers_lose_little(tiny_wavenet, mel, precision, divergence):
    network, x = tiny_wavenet(), torch.rand(1, 1200) * 2 - 1
    with torch.no_grad():
        network.outputs.weight *= 30  # logits as far apart as a trained network's
    loop = CompiledWaveNetLoop(CompiledWaveNet(network, precision), network, mel, 1)
    exact, near = (
        torch.log_softmax(torch.as_tensor(outputs).double(), -1)
        for outputs in (whole_pass(network, mel, x), loop.outputs(x.numpy()))
    )
    lost = (exact.exp() * (exact - near)).sum(-1).mean()
    assert exact.std() > 0.5 and 0 < lost < divergence


def test_frames_beyond_the_mel_are_those_of_silence(tiny_wavenet, mel):
    network = tiny_wavenet()
    around = frames_of(network, F.pad(mel, (4, 9), value=-1.0), 0, 19)
    torch.testing.assert_close(frames_of(network, mel, 0, 15), around[:, 4:])
    torch.testing.assert_close(frames_of(network, mel, 10, 12), around[:, 14:17])


def test_stream_and_whole_agree(tiny_wavenet, random_mel):
    vocoder, mel = WaveNetVocoder(tiny_wavenet(), batched=False), random_mel(40)
    pieces = list(vocoder.stream(mel, seed=2))
    assert len(pieces) > 2
    np.testing.assert_array_equal(np.concatenate(pieces), vocoder.vocode(mel, seed=2))
    assert len(WaveNetVocoder(tiny_wavenet()).vocode(mel, seed=2)) == 39 * 200


def test_the_rings_hold_no_more_than_the_taps_reach(tiny_wavenet):
    state = CompiledWaveNet(tiny_wavenet(kernel=3)).state(np.zeros(2, dtype=np.int64))
    assert isinstance(state, kernel.State) and state.past.shape == (2, 2 * 2 * 15, 8)


def test_mels_that_do_not_fit_the_samples_are_refused(tiny_wavenet):
    with pytest.raises(ValueError, match="do not belong together"):
        tiny_wavenet()(torch.zeros(1, 1, 400), torch.zeros(1, 80, 5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"layers": 10}, "cycles"), ({"gate": 0}, "positive"), ({"kernel": 1}, "kernel"), ({"mode": "raw"}, "RAW or MOL")],
)
def test_sizes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        WaveNetConfig(**changes)


def test_config_survives_json(tiny_wavenet):
    cfg = tiny_wavenet(mode="MOL").cfg
    assert WaveNetConfig.from_dict(cfg.to_dict()) == cfg
    with pytest.raises(ModelError, match="Unknown WaveNet settings"):
        WaveNetConfig.from_dict({"width": 3})
