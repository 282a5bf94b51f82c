import time

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vocoder import products
from vocoder import wavernn_kernel as kernel
from vocoder.distribution import draw
from vocoder.generation import FoldNoise
from vocoder.wavernn_compiled import CompiledLoop, CompiledNetwork


def whole_pass(network, mel, x):
    with torch.inference_mode():
        return network(x, F.pad(mel, (2, 2), value=-1.0)[None].expand(len(x), -1, -1)).numpy()


@pytest.mark.parametrize(
    "changes", [{}, {"mode": "MOL"}, {"upsample_factors": (4, 5, 10)}, {"rnn_dims": 19, "fc_dims": 37, "pad": 2}]
)
def test_exact_steps_have_the_outputs_of_the_whole_pass(tiny_network, mel, changes):
    network, x = tiny_network(**changes), torch.rand(7, 1200) * 2 - 1
    loop = CompiledLoop(CompiledNetwork(network), network, mel, 2)
    loop.begin(np.zeros(7, dtype=np.int64))
    parts = [loop.outputs(np.ascontiguousarray(part)) for part in np.split(x.numpy(), [1, 333], axis=1)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole_pass(network, mel, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("precision", "divergence"), [("int16", 1e-7), ("int8", 1e-4)])
def test_whole_numbers_lose_little(tiny_network, mel, precision, divergence):
    network, x = tiny_network(), torch.rand(1, 1200) * 2 - 1
    with torch.no_grad():
        network.fc3.weight *= 10  # logits as far apart as a trained network's
    loop = CompiledLoop(CompiledNetwork(network, precision), network, mel, 1)
    exact, near = (
        torch.log_softmax(torch.from_numpy(outputs).double(), -1)
        for outputs in (whole_pass(network, mel, x), loop.outputs(x.numpy()))
    )
    lost = (exact.exp() * (exact - near)).sum(-1).mean()
    assert exact.std() > 0.5 and 0 < lost < divergence


@pytest.mark.parametrize("precision", ["float32", "int16"])
def test_whole_number_sums_cannot_overflow(tiny_network, precision):
    network = tiny_network(rnn_dims=64)
    with torch.no_grad():
        network.rnn1.weight_hh_l0.fill_(1.0)
    compiled = CompiledNetwork(network, precision)
    state = compiled.state(np.zeros(1, dtype=np.int64))
    state.codes1.values[:] = compiled.net.limit
    state.codes1.factors[:] = 1.0 / compiled.net.limit
    products.product(compiled.net.hh1, state.codes1, state.recurrent1)
    bias = network.rnn1.bias_hh_l0.detach().numpy()
    np.testing.assert_allclose(state.recurrent1[0, : 3 * 64], 64 + bias, rtol=1e-3)


def test_a_second_thread_that_is_not_given_a_processor_is_given_up(tiny_network, mel, monkeypatch):
    network = tiny_network()
    noise = FoldNoise(0, np.arange(1), network.cfg).draw(300)
    compiled = CompiledNetwork(network)
    alone = CompiledLoop(compiled, network, mel, 1).run(noise)
    loop, made = CompiledLoop(compiled, network, mel, 2), []
    follow, speak = kernel.follow, kernel.speak

    def stops_for_a_while(net, state, steps):
        follow(net, state, 100)
        time.sleep(0.3)
        follow(net, state, steps)

    def counted(*args):
        made.append((speak(*args), args[-1]))
        return made[-1][0]

    monkeypatch.setattr(kernel, "follow", stops_for_a_while)
    monkeypatch.setattr(kernel, "speak", counted)
    np.testing.assert_array_equal(loop.run(noise), alone)
    (together, alone_first), (rest, alone_then) = made
    assert not alone_first and alone_then and 0 < together <= 102 and together + rest == 300
    loop.run(noise)
    assert made[2:] == [(300, True)]


@pytest.mark.parametrize("changes", [{}, {"mode": "MOL"}])
def test_draws_are_those_of_the_distribution(tiny_network, changes):
    cfg = tiny_network(**changes).cfg
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(400, cfg.n_classes, generator=generator) * 3
    noise = torch.rand(2, 400, generator=generator)
    noise[:, :2] = torch.tensor([0.0, 1.0 - 2.0**-24])
    expected = draw(outputs, noise, cfg).numpy()
    drawn = [
        products.draw(row.numpy().copy(), np.ascontiguousarray(u.numpy()), cfg.mode == "RAW")
        for row, u in zip(outputs, noise.t(), strict=True)
    ]
    assert np.mean(np.abs(np.array(drawn) - expected) < 1e-4) > 0.99
    assert np.abs(drawn).max() <= 1.0
