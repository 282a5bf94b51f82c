"""Work in other processes."""

import os

import pytest

from audio.errors import Cancelled, TrainingError
from tests.training.work import fragile, square, thread_setting
from training.parallel import WORKER_DIED, run_parallel


@pytest.mark.parametrize("processes", [1, 2])
def test_every_item_has_its_outcome_and_failures_are_reported(processes):
    seen = []
    outcomes = list(run_parallel(square, range(8), processes, lambda done, total: seen.append((done, total))))
    values = {outcome.item: outcome.value for outcome in outcomes if outcome.error is None}
    assert values == {n: n * n for n in range(8) if n not in (3, 5)}
    errors = {outcome.item: str(outcome.error) for outcome in outcomes if outcome.error is not None}
    assert errors[3] == "three is bad" and "five is worse" in errors[5]
    assert seen == [(n, 8) for n in range(1, 9)]


def test_a_worker_that_dies_costs_only_its_item():
    outcomes = {outcome.item: outcome for outcome in run_parallel(fragile, range(5), 2)}
    assert str(outcomes[2].error) == WORKER_DIED
    assert [outcomes[n].value for n in (0, 1, 3, 4)] == [0, 1, 3, 4]


def test_workers_that_always_die_end_the_work():
    with pytest.raises(TrainingError, match="died one after the other"):
        list(run_parallel(fragile, [2] * 8, 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_cancelling_from_progress_stops(processes):
    def stop(done, total):
        if done == 2:
            raise Cancelled

    count = 0
    with pytest.raises(Cancelled):
        for _ in run_parallel(square, range(1000), processes, stop):
            count += 1
    assert count == 2


def test_workers_use_one_thread_and_leave_interrupts_to_the_parent():
    before = os.environ.get("OMP_NUM_THREADS")
    outcomes = list(run_parallel(thread_setting, range(2), 2))
    assert [outcome.value for outcome in outcomes] == [("1", True)] * 2
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_nothing_to_do_is_no_work():
    assert list(run_parallel(square, [], 4)) == []
