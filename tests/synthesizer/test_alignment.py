"""Every fault of an attention that users hear is found, and a sound one passes."""

import numpy as np
import pytest

from synthesizer.alignment import judge

STEP = 0.05


def attention(path, length=40, sharpness=0.8):
    matrix = np.full((len(path), length), (1 - sharpness) / (length - 1))
    matrix[np.arange(len(path)), path] = sharpness
    return matrix


GOOD = np.repeat(np.arange(40), 2)


def test_a_diagonal_is_sound():
    verdict = judge(attention(GOOD), True, STEP)
    assert verdict.ok and verdict.cost < 0.1


@pytest.mark.parametrize(
    ("path", "stopped", "problem"),
    [
        (np.concatenate([GOOD[:20], GOOD[44:]]), True, "words were skipped"),
        (np.concatenate([GOOD[:60], GOOD[20:]]), True, "words were repeated"),
        (np.concatenate([GOOD[:30], np.full(40, 15), GOOD[30:]]), True, "a sound was held too long"),
        (GOOD[:50], True, "the end is missing"),
        (GOOD, False, "it did not come to an end"),
    ],
)
def test_faults_are_named(path, stopped, problem):
    verdict = judge(attention(path), stopped, STEP)
    assert problem in verdict.problems
    assert verdict.cost > 1 > judge(attention(GOOD), True, STEP).cost


def test_blurred_attention_is_named():
    assert "the alignment is blurred" in judge(attention(GOOD, sharpness=0.1), True, STEP).problems


def test_one_stray_step_is_no_fault():
    path = GOOD.copy()
    path[30] = 38
    assert judge(attention(path), True, STEP).ok


def test_one_symbol_and_one_step_are_judged_too():
    assert judge(np.ones((1, 1)), True, STEP).ok
