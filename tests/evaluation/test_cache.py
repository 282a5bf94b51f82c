"""Results that survive kills."""

import pytest

from audio.errors import Cancelled
from evaluation.cache import FILE_NAME, Cache, cache_key, compute


def square(n):
    if n == 13:
        raise ValueError("unlucky")
    return {"square": n * n}


def never(n):
    raise AssertionError("it was known")


def key(n):
    return cache_key("square", n)


def computed(folder, work, items, **options):
    return compute(Cache(folder), work, items, [key(n) for n in items], processes=1, **options)


def test_what_is_known_is_not_computed_again(tmp_path):
    assert computed(tmp_path, square, [1, 2, 2]) == [{"square": 1}, {"square": 4}, {"square": 4}]
    assert computed(tmp_path, never, [2, 1]) == [{"square": 4}, {"square": 1}]


def test_a_failure_is_reported_and_tried_again(tmp_path, caplog):
    assert computed(tmp_path, square, [13, 2]) == [None, {"square": 4}]
    assert "unlucky" in caplog.text and Cache(tmp_path).get(key(13)) is None


def test_stopping_loses_nothing_that_was_computed(tmp_path):
    def stop(done, total):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        computed(tmp_path, square, [1, 2, 3], progress=stop)
    assert [Cache(tmp_path).get(key(n)) for n in (1, 2, 3)] == [{"square": 1}, {"square": 4}, None]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_that_a_kill_cut_short_is_computed_again(tmp_path, cut):
    computed(tmp_path, square, [1, 2])
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    cache = Cache(tmp_path)
    assert cache.get(key(1)) == {"square": 1}
    assert compute(cache, square, [1, 2, 3], [key(1), key(2), key(3)], processes=1)[1:] == [
        {"square": 4},
        {"square": 9},
    ]
    assert [Cache(tmp_path).get(key(n)) for n in (1, 2, 3)] == [{"square": 1}, {"square": 4}, {"square": 9}]


def test_keys_differ_with_their_parts():
    assert len({cache_key("a", 1), cache_key("a", 2), cache_key("a", [1]), cache_key("a", None)}) == 4
    assert cache_key({"x": 1, "y": 2}) == cache_key({"y": 2, "x": 1})
