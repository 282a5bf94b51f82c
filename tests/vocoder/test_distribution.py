import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vocoder.config import WaveRNNConfig
from vocoder.distribution import draw, draw_class, draw_mol, mol_log_prob, negative_log_likelihood, noise_per_sample

MOL = WaveRNNConfig(mode="MOL")


def _levels():
    return 2.0 * np.arange(2**16) / (2**16 - 1) - 1.0


def _mixture_by_hand(params, levels):
    """Probability of each level in double precision, straight from the distribution functions' differences."""
    logits, means, log_scales = np.split(params.astype(np.float64), 3)
    weights = np.exp(logits) / np.exp(logits).sum()
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    with np.errstate(over="ignore"):
        below = 1.0 / (1.0 + np.exp(-(edges[:, None] - means) / np.exp(log_scales)))
    return (np.diff(below, axis=0) * weights).sum(axis=1)


def _params(seed):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=10), rng.uniform(-1.1, 1.1, 10), rng.uniform(-8, -2, 10)]).astype(
        np.float32
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mixture_of_logistics_against_a_direct_computation(seed):
    params, levels = _params(seed), _levels()
    expected = _mixture_by_hand(params, levels)
    own = mol_log_prob(torch.from_numpy(params).expand(len(levels), -1), torch.from_numpy(levels).float()).double()
    assert own.exp().sum() == pytest.approx(1.0, abs=2e-3)
    likely = expected > 1e-7
    np.testing.assert_allclose(own.numpy()[likely], np.log(expected[likely]), atol=5e-3)


def test_loss_is_the_mean_in_nats_and_stays_finite_far_from_the_means():
    params = torch.zeros(2, 3, 30)
    params[..., 20:] = -30.0
    params.requires_grad_()
    loss = negative_log_likelihood(params, torch.full((2, 3), 0.9), MOL)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(params.grad).all()
    raw = WaveRNNConfig()
    logits, labels = torch.randn(2, 5, 512), torch.randint(0, 512, (2, 5))
    expected = -F.log_softmax(logits.double(), -1).gather(-1, labels.unsqueeze(-1)).mean()
    assert float(negative_log_likelihood(logits, labels, raw)) == pytest.approx(float(expected), rel=1e-5)
    uniform = negative_log_likelihood(torch.zeros(1, 4, 512), labels[:1, :4], raw)
    assert float(uniform) == pytest.approx(9 * math.log(2), rel=1e-6)


def test_draws_of_classes_have_the_softmax_probabilities():
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    noise = (torch.arange(20000) + 0.5) / 20000
    drawn = draw_class(logits.expand(20000, -1), noise)
    frequencies = torch.bincount(drawn, minlength=4) / 20000
    torch.testing.assert_close(frequencies, torch.softmax(logits, 0), rtol=0, atol=1e-3)
    edge = draw_class(torch.full((2, 512), -3.0), torch.tensor([0.0, 1.0]))
    assert edge.tolist() == [0, 511]


def test_draws_of_the_mixture_follow_its_distribution():
    params = torch.from_numpy(_params(5))
    generator = torch.Generator().manual_seed(0)
    drawn = draw_mol(
        params.expand(40000, -1), torch.rand(40000, generator=generator), torch.rand(40000, generator=generator)
    )
    levels = _levels()
    cumulative = np.cumsum(_mixture_by_hand(params.numpy(), levels))
    for quantile in (0.1, 0.3, 0.5, 0.7, 0.9):
        level = levels[min(np.searchsorted(cumulative, quantile), len(levels) - 1)]
        assert float((drawn <= level).float().mean()) == pytest.approx(quantile, abs=0.02)
    assert drawn.abs().max() <= 1.0


@pytest.mark.parametrize("cfg", [WaveRNNConfig(bits=4), MOL])
def test_samples_lie_in_range(cfg):
    noise = torch.rand(noise_per_sample(cfg), 100)
    drawn = draw(torch.randn(100, cfg.n_classes) * 3, noise, cfg)
    assert drawn.shape == (100,)
    assert drawn.abs().max() <= 1.0
    if cfg.mode == "RAW":
        steps = (drawn + 1) * 7.5
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
