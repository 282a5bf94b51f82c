import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vocoder.folding import even_plan, fade_curves, fixed_plan, fold, shared_plan, unfold

sizes = {"length": st.integers(1, 3000), "target": st.integers(1, 700), "overlap": st.integers(0, 300)}


def test_reference_values(reference):
    expected = reference("vocoder.npz")
    overlap = int(expected["fold_overlap"])
    folded = fold(torch.from_numpy(expected["fold_in"]), int(expected["fold_target"]), overlap)
    np.testing.assert_array_equal(folded.numpy(), expected["fold_out"])
    unfolded = unfold(expected["unfold_in"], overlap, gapless=False)
    np.testing.assert_allclose(unfolded, expected["unfold_out"], rtol=1e-4, atol=1e-12)


@given(**sizes)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("make", [fixed_plan, even_plan, shared_plan])
def test_plans_cover_the_signal_with_no_more_folds_than_needed(make, length, target, overlap):
    plan = make(length, target, overlap)
    end = (plan.count - 1) * plan.step + plan.width
    assert end >= length
    assert plan.width <= max(target + 2 * overlap, 2 * overlap)
    if plan.count > 1:
        assert plan.width >= 2 * plan.overlap
        assert plan.starts[-1] + plan.overlap < length  # the last fold has samples of its own
    if make is even_plan:
        assert plan.count <= fixed_plan(length, target, overlap).count
        assert end - length < plan.count + overlap + 1 or plan.count == 1


@pytest.mark.parametrize(("seconds", "folds"), [(0.4, 1), (1, 4), (2, 8), (5, 16), (20, 40), (600, 1096)])
def test_threads_share_the_folds_evenly(seconds, folds):
    plan = shared_plan(int(seconds * 16000), 8000, 800)
    assert plan.count == folds


@given(**sizes)
@settings(max_examples=60, deadline=None)
def test_folds_of_one_signal_join_to_that_signal_where_only_one_speaks(length, target, overlap):
    signal = torch.randn(1, length, 1, generator=torch.Generator().manual_seed(length))
    folds = fold(signal, target, overlap)
    assert folds.shape[1] == target + 2 * overlap
    joined = unfold(folds[:, :, 0].numpy(), overlap)
    assert len(joined) >= length
    place = np.arange(length)
    alone = (place % (target + overlap) >= overlap) | (place < overlap)
    alone &= place < (len(folds) - 1) * (target + overlap) + target + 2 * overlap
    np.testing.assert_allclose(joined[:length][alone], signal[0, alone, 0], rtol=1e-6, atol=1e-7)


@given(overlap=st.integers(0, 500))
def test_fades_keep_the_power_and_never_fall_silent(overlap):
    fade_in, fade_out = fade_curves(overlap)
    assert len(fade_in) == len(fade_out) == overlap
    np.testing.assert_allclose(fade_in**2 + fade_out**2, 1.0, atol=1e-12)


def test_one_fold_is_left_alone():
    wav = np.random.default_rng(0).standard_normal((1, 50))
    np.testing.assert_array_equal(unfold(wav, 0), wav[0])
    np.testing.assert_array_equal(unfold(wav, 20), wav[0])


@pytest.mark.parametrize(("target", "overlap"), [(0, 5), (5, -1)])
def test_impossible_folds_are_refused(target, overlap):
    with pytest.raises(ValueError, match="target"):
        fold(torch.zeros(1, 10, 1), target, overlap)
    with pytest.raises(ValueError, match="share"):
        unfold(np.zeros((2, 10)), 6)
