import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.seeded import seeded_state
from vocoder.config import WaveRNNConfig
from vocoder.recurrence import run_gru
from vocoder.wavernn import WaveRNN, stretch_and_smooth


def test_layout_and_values_are_those_of_the_public_checkpoints(reference):
    layouts, expected = reference("layouts.json"), reference("vocoder.npz")
    network = WaveRNN(WaveRNNConfig()).eval()
    own = [
        [name, list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in network.state_dict().items()
    ]
    assert own == layouts["layouts"]["vocoder"]
    network.load_state_dict({**network.state_dict(), **seeded_state("vocoder", layouts)})
    mel, x = torch.from_numpy(expected["mel"]), torch.from_numpy(expected["x"])
    with torch.no_grad():
        logits = network(x, mel)
        mels, aux = network.upsample(mel)
    stride = int(expected["upsampled_stride"])
    np.testing.assert_allclose(logits[:, :: int(expected["logits_stride"])], expected["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mels[:, ::stride], expected["upsampled_mel"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(aux[:, ::stride], expected["upsampled_aux"], rtol=1e-4, atol=1e-5)


def test_up_sampling_starts_as_a_moving_average(tiny_config):
    network = WaveRNN(tiny_config())
    for index, factor in zip((1, 3, 5), (5, 5, 8), strict=True):
        weight = network.upsample.up_layers[index].weight
        assert weight.shape == (1, 1, 1, 2 * factor + 1)
        assert torch.allclose(weight, torch.full_like(weight, 1 / (2 * factor + 1)))


@pytest.mark.parametrize("scale", [1, 2, 5, 8])
def test_stretching_and_smoothing_at_once_equals_one_after_the_other(scale):
    x, weight = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(1, 1, 1, 2 * scale + 1, dtype=torch.float64)
    expected = F.conv2d(x.repeat_interleave(scale, -1).unsqueeze(1), weight, padding=(0, scale)).squeeze(1)
    torch.testing.assert_close(stretch_and_smooth(x, weight, scale), expected)


def test_own_recurrence_has_the_states_and_gradients_of_torch():
    gru, x, weight = nn.GRU(7, 5, batch_first=True), torch.randn(11, 3, 7, requires_grad=True), torch.randn(11, 3, 5)
    own = run_gru(gru, x)
    torchs = gru(x.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(own, torchs)
    inputs = [x, *gru.parameters()]
    own_grads = torch.autograd.grad((own * weight).sum(), inputs)
    for mine, other in zip(own_grads, torch.autograd.grad((torchs * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_forward_is_the_same_with_and_without_gradients_and_near_in_bf16(tiny_network):
    network = tiny_network()
    x, mels = torch.rand(2, 400) * 2 - 1, torch.rand(2, 80, 6) * 2 - 1
    with torch.no_grad():
        plain = network(x, mels)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(x, mels)
    torch.testing.assert_close(network(x, mels).detach(), plain, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(low.float(), plain, rtol=0.1, atol=0.05)
    assert plain.shape == (2, 400, 512)


def test_every_weight_gets_a_gradient(tiny_network):
    network = tiny_network().train()
    network(torch.rand(2, 200) * 2 - 1, torch.rand(2, 80, 5)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize(("samples", "frames"), [(400, 5), (350, 6), (200, 1)])
def test_lengths_that_do_not_belong_together_are_refused(tiny_network, samples, frames):
    with pytest.raises(ValueError, match="belong together"):
        tiny_network()(torch.zeros(1, samples), torch.zeros(1, 80, frames))
