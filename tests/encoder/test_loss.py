"""GE2E and the equal error rate, against reference values, the paper's equations written out, and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from encoder.loss import Ge2eLoss, centroid_cosines, equal_error_rate, ge2e_equal_error_rate


def random_embeds(speakers: int, utterances: int, size: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.rand(speakers, utterances, size, generator=generator), dim=2)


def test_reference_similarity_loss_and_error_rate(reference):
    values = reference("encoder.npz")
    criterion = Ge2eLoss()
    similarity = criterion.similarity(torch.from_numpy(values["ge2e_embeds"]))
    np.testing.assert_allclose(similarity.detach().numpy(), values["ge2e_similarity"], rtol=1e-4, atol=2e-4)
    assert criterion.of_similarity(similarity).item() == pytest.approx(float(values["ge2e_loss"]), rel=1e-4)
    assert ge2e_equal_error_rate(similarity) == pytest.approx(float(values["ge2e_eer"]), abs=1e-6)


def test_cosines_equal_the_equations_written_as_loops():
    embeds = random_embeds(3, 4)
    cosines = centroid_cosines(embeds)
    for j in range(3):
        for i in range(4):
            for k in range(3):
                members = [embeds[k, m] for m in range(4) if not (k == j and m == i)]
                centroid = torch.stack(members).mean(dim=0)
                expected = F.cosine_similarity(embeds[j, i], centroid, dim=0)
                torch.testing.assert_close(cosines[j, i, k], expected)


@pytest.mark.parametrize("variant", ["softmax", "contrast"])
def test_loss_equals_the_equation_written_as_loops(variant):
    criterion = Ge2eLoss(variant)
    embeds = random_embeds(3, 4, seed=1)
    similarity = criterion.similarity(embeds)
    terms = []
    for j in range(3):
        for i in range(4):
            row = similarity[j, i]
            if variant == "softmax":
                terms.append(-row[j] + torch.logsumexp(row, dim=0))
            else:
                others = [torch.sigmoid(row[k]) for k in range(3) if k != j]
                terms.append(1 - torch.sigmoid(row[j]) + torch.stack(others).max())
    torch.testing.assert_close(criterion(embeds), torch.stack(terms).mean())


@pytest.mark.parametrize("variant", ["softmax", "contrast"])
def test_separated_speakers_cost_less_than_mixed_ones(variant):
    criterion = Ge2eLoss(variant)
    separated = F.one_hot(torch.arange(4), 4).float()[:, None, :].expand(4, 3, 4)
    mixed = separated.transpose(0, 1).reshape(4, 3, 4)
    assert criterion(separated) < criterion(mixed)


def test_scale_and_bias_get_a_hundredth_of_their_gradient():
    criterion = Ge2eLoss()
    embeds = random_embeds(4, 3)
    criterion(embeds).backward()
    weight, bias = torch.tensor([10.0], requires_grad=True), torch.tensor([-5.0], requires_grad=True)
    F.cross_entropy(
        (weight * centroid_cosines(embeds) + bias).reshape(12, 4), torch.arange(4).repeat_interleave(3)
    ).backward()
    torch.testing.assert_close(criterion.weight.grad, weight.grad * 0.01)
    torch.testing.assert_close(criterion.bias.grad, bias.grad * 0.01, atol=1e-7, rtol=1e-3)


def test_scale_stays_positive_and_can_come_back():
    criterion = Ge2eLoss()
    with torch.no_grad():
        criterion.weight.fill_(-3.0)
    similarity = criterion.similarity(F.one_hot(torch.arange(3), 3).float()[:, None, :].expand(3, 2, 3))
    assert (similarity[0, 0, 0] > similarity[0, 0, 1]).item()
    criterion.of_similarity(similarity).backward()
    assert criterion.weight.grad.item() < 0


def test_parameters_of_a_network_are_used_and_not_copied():
    weight = torch.nn.Parameter(torch.tensor([7.0]))
    criterion = Ge2eLoss("softmax", weight)
    criterion(random_embeds(2, 2)).backward()
    assert criterion.weight is weight
    assert weight.grad is not None


@pytest.mark.parametrize("shape", [(1, 4, 8), (4, 1, 8)])
def test_one_speaker_or_one_utterance_is_refused(shape):
    with pytest.raises(ValueError, match="at least 2 speakers"):
        centroid_cosines(torch.rand(shape))
    with pytest.raises(ValueError, match="variant"):
        Ge2eLoss("cosine")


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000), st.integers(1, 6))
def test_equal_error_rate_equals_the_root_of_the_roc_curve(size, seed, levels):
    from scipy.optimize import brentq
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(seed)
    same = np.append(rng.random(size) < 0.4, [True, False])
    scores = np.round(rng.random(size + 2) + 0.3 * same, levels)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    # Where the curve is vertical, interpolation over fpr takes the upper end: compare by the crossing itself.
    eer = equal_error_rate(scores, same)
    upper = brentq(lambda x: 1.0 - x - np.interp(x, fpr, tpr), -1e-9, 1.0 + 1e-9)
    assert eer == pytest.approx(upper, abs=1e-6)


def test_error_rate_of_perfect_and_of_reversed_scores():
    scores, same = np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False])
    assert equal_error_rate(scores, same) == 0.0
    assert equal_error_rate(-scores, same) == 1.0
    assert equal_error_rate(np.ones(4), same) == 0.5


def test_error_rate_needs_both_sorts_of_trials_and_finite_scores():
    with pytest.raises(ValueError, match="different speakers"):
        equal_error_rate(np.ones(3), np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="finite"):
        equal_error_rate(np.array([np.nan, 1.0]), np.array([True, False]))
