"""The picture keeps alike voices together and stays still; the numbers mean what they say."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import Cancelled, ToolboxError
from toolbox import projection
from toolbox.projection import Projector, colour_of, judge_clone, speaker_similarity, spread


def voices(speakers=3, clips=4, noise=0.15, seed=0, size=256):
    """Unit embeddings (speakers * clips, size), the clips of a speaker side by side."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.maximum(rng.standard_normal((speakers, size)), 0), clips, axis=0)
    rows = np.maximum(centres + noise * rng.standard_normal(centres.shape), 0)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def gap(coords, clips):
    """Smallest distance between points of two speakers over the greatest within one."""
    labels = np.arange(len(coords)) // clips
    distances = np.linalg.norm(coords[:, None] - coords[None], axis=-1)
    same = labels[:, None] == labels[None]
    return distances[~same].min() / max(distances[same].max(), 1e-9)


def radius(coords):
    return float(np.sqrt(np.mean(np.sum((coords - coords.mean(axis=0)) ** 2, axis=1))))


def move(before, after):
    """Root-mean-square way of the points, in radii of the picture."""
    return float(np.sqrt(np.mean(np.sum((after - before) ** 2, axis=1)))) / radius(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_few_points_have_a_picture_at_once(count):
    embeds = voices(7, 1)[:count]
    projector = Projector()
    coords = projector.fit(embeds)
    assert coords.shape == (count, 2) and coords.dtype == np.float32
    assert np.isfinite(coords).all()
    assert projector.method == ("pca" if count else "")
    assert projector.fitted == count
    if count > 1:
        assert radius(coords) == pytest.approx(1.0, abs=1e-4)


@pytest.fixture
def quick_umap(monkeypatch):
    """Instead of UMAP, which compiles itself for half a minute: the start moved a little, in other units."""

    def umap(points, start, warm, seed):
        noise = np.random.default_rng(seed).standard_normal(start.shape)
        return 7 * start / radius(start) + (0.05 if warm else 0.5) * noise

    monkeypatch.setattr(projection, "_umap", umap)


def test_the_same_clip_twice_is_no_trouble(quick_umap):
    embeds = np.repeat(voices(1, 1), 3, axis=0)
    assert np.isfinite(Projector().fit(embeds)).all()
    assert np.isfinite(projection._in_a_square(np.zeros((12, 2)), 0)).all()
    assert np.ptp(projection._in_a_square(np.zeros((12, 2)), 0), axis=0).min() > 0


def test_umap_keeps_speakers_apart_is_repeatable_and_points_do_not_jump():
    embeds = voices(4, 6)
    projector = Projector()
    before = projector.fit(embeds[:20])
    assert projector.method == "umap"
    assert Projector().fit(embeds[:20]).tobytes() == before.tobytes()
    again = projector.fit(embeds[:20])
    assert move(before, again) < 0.3
    more = projector.fit(embeds)
    assert move(again, more[:20]) < 0.3
    assert gap(more, 6) > 1
    assert move(more[4:], projector.fit(embeds[4:])) < 0.5
    assert np.isfinite(Projector().fit(voices(2, 4))).all()
    assert np.isfinite(Projector().fit(np.repeat(embeds[:3], 4, axis=0))).all()


def test_a_new_point_lands_at_its_speaker_at_once_and_known_ones_stay(quick_umap):
    embeds = voices(4, 6)
    known = np.delete(embeds, [5, 11], axis=0)
    projector = Projector()
    coords = projector.fit(known)
    placed = projector.add(embeds)
    assert np.delete(placed, [5, 11], axis=0).tobytes() == coords.tobytes()
    assert np.linalg.norm(placed[5] - placed[:5].mean(axis=0)) < np.linalg.norm(placed[5] - placed[6:11].mean(axis=0))
    assert projector.fitted == 22


def test_umap_is_computed_by_whom_it_is_given_to(quick_umap):
    asked = []

    def run(function, *args, check):
        check()
        asked.append(function)
        return function(*args)

    projector = Projector(run=run)
    steps = []
    projector.fit(voices(4, 4), lambda done, total: steps.append(done))
    assert projector.method == "umap" and len(asked) == 1
    assert steps == [0, 1, 1, 2, 3]


def test_a_failure_of_umap_leaves_pca_or_the_last_picture(quick_umap):
    def broken(*args, check):
        raise ToolboxError("Its process ended.")

    embeds = voices(4, 4)
    projector = Projector(run=broken)
    with pytest.raises(ToolboxError, match="ended"):
        projector.fit(embeds)
    assert (projector.method, projector.fitted) == ("pca", 16)
    projector = Projector()
    before = projector.fit(embeds)
    projector._run = broken
    with pytest.raises(ToolboxError, match="ended"):
        projector.fit(embeds[:10])
    assert projector.method == "umap" and projector.add(embeds).tobytes() == before.tobytes()


def test_the_picture_neither_shrinks_nor_wanders_over_many_fits(monkeypatch):
    shaky = np.random.default_rng(0)
    monkeypatch.setattr(projection, "_umap", lambda _, start, *__: 7 * start + shaky.normal(0, 2.0, start.shape))
    projector = Projector()
    for _ in range(30):
        coords = projector.fit(voices(4, 5))
    assert radius(coords) == pytest.approx(1.0, abs=1e-4)
    assert np.abs(coords.mean(axis=0)).max() < 1e-4


def test_pca_points_stay_on_their_side_when_one_is_added():
    embeds = voices(3, 2)
    projector = Projector()
    before = projector.add(embeds[:4])
    assert move(before, projector.fit(embeds[:5])[:4]) < 1.0
    assert np.isfinite(projector.add(embeds)).all()
    assert projector.add(np.zeros((0, 256))).shape == (0, 2)


def test_from_pca_to_umap_the_speakers_keep_their_sides(quick_umap):
    embeds = voices(2, 6)
    projector = Projector()
    before = projector.fit(embeds[[0, 1, 2, 6, 7, 8]])
    after = projector.fit(embeds)[[0, 1, 2, 6, 7, 8]]
    way = before[3:].mean(axis=0) - before[:3].mean(axis=0)
    assert (after[3:].mean(axis=0) - after[:3].mean(axis=0)) @ way > 0


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_cancelled_fit_leaves_the_last_picture(step):
    embeds = voices(3, 2)
    projector = Projector()
    before = projector.fit(embeds)

    def cancel(done, total):
        assert total == 3
        if done == step:
            raise Cancelled

    with pytest.raises(Cancelled):
        projector.fit(embeds[:4], cancel)
    assert projector.fitted == 6
    assert projector.add(embeds).tobytes() == before.tobytes()


def test_points_are_added_while_a_fit_runs(monkeypatch):
    embeds = voices(4, 4)
    projector = Projector()
    projector.fit(embeds[:6])
    running, added = threading.Event(), threading.Event()

    def slow(points, start, warm, seed):
        running.set()
        assert added.wait(10)
        return np.asarray(start)

    monkeypatch.setattr(projection, "_umap", slow)
    worker = threading.Thread(target=projector.fit, args=(embeds[:12],))
    worker.start()
    assert running.wait(10)
    assert projector.add(embeds).shape == (16, 2)
    added.set()
    worker.join(10)
    assert projector.method == "umap" and projector.fitted == 12
    assert np.isfinite(projector.add(embeds)).all()


def test_without_umap_there_is_pca(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "umap", None)
    projector = Projector()
    assert projector.fit(voices(4, 4)).shape == (16, 2)
    assert projector.method == "pca"
    assert "umap-learn" in caplog.text


def test_clearing_forgets_the_picture():
    projector = Projector()
    projector.fit(voices(2, 3))
    projector.clear()
    assert (projector.method, projector.fitted) == ("", 0)


def test_importing_loads_nothing_heavy():
    code = "import sys, toolbox.projection; print([m for m in ('umap', 'numba', 'scipy', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_speaker_similarity_has_a_speakers_spread_on_its_diagonal():
    embeds = voices(2, 3)[:4]
    names, matrix = speaker_similarity(embeds, ["b", "b", "b", "a"])
    assert names == ["b", "a"]
    assert matrix[0, 0] == pytest.approx(spread(embeds[:3]))
    assert matrix[1, 1] == 1
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(np.mean(embeds[:3] @ embeds[3]), abs=1e-6)
    assert speaker_similarity(np.zeros((0, 256)), []) == ([], pytest.approx(np.zeros((0, 0))))
    with pytest.raises(ValueError, match="2 speakers"):
        speaker_similarity(embeds, ["a", "b"])


def test_spread():
    embeds = voices(1, 3)
    pairs = [embeds[0] @ embeds[1], embeds[0] @ embeds[2], embeds[1] @ embeds[2]]
    assert spread(embeds) == pytest.approx(np.mean(pairs))
    assert spread(embeds[:1]) is None


def test_a_clone_is_judged_by_three_numbers():
    embeds = voices(3, 4)
    clone, references = embeds[0], embeds[1:4]
    score = judge_clone(clone, references, {"far": embeds[4:8], "one voice": embeds[8], "empty": []})
    centroid = references.mean(axis=0)
    assert score.similarity == pytest.approx(clone @ centroid / np.linalg.norm(centroid), abs=1e-5)
    # The clone here is a true clip of the speaker: it scores as the speaker's own clips do.
    assert score.own_spread == pytest.approx(score.similarity, abs=0.02)
    assert score.nearest_other is not None
    assert score.nearest_other[0] in ("far", "one voice")
    assert score.nearest_other[1] < score.similarity
    assert f"{score.similarity:.2f}" in score.sentence and score.nearest_other[0] in score.sentence


def test_one_reference_clip_is_compared_by_its_partials():
    embeds = voices(1, 5)
    assert judge_clone(embeds[0], embeds[1]).own_spread is None
    score = judge_clone(embeds[0], embeds[1:2], partials=embeds[2:])
    assert 0.9 < score.own_spread < 1
    assert score.nearest_other is None
    with pytest.raises(ValueError, match="reference"):
        judge_clone(embeds[0], [])


def luminance(colour):
    values = [c / 255 for c in colour]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.integers(0, 100_000))
@settings(max_examples=200, deadline=None)
def test_colours_are_readable_on_light_and_dark(index):
    own = luminance(colour_of(index))
    assert 1.05 / (own + 0.05) >= 3
    assert (own + 0.05) / (luminance((0x1E, 0x1E, 0x1E)) + 0.05) >= 3


def test_colours_are_distinct_for_any_number_of_speakers():
    assert len({colour_of(index) for index in range(1000)}) == 1000
    first = np.array([colour_of(index) for index in range(20)], dtype=float)
    apart = np.linalg.norm(first[:, None] - first[None], axis=-1) + 1e3 * np.eye(20)
    assert apart.min() > 20
    assert apart[:8, :8].min() > 50
    with pytest.raises(ValueError, match="from 0"):
        colour_of(-1)
