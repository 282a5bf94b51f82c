"""Voice embeddings as a picture and as numbers: UMAP or PCA to two dimensions, colours, similarities; knows no window.

    projector = Projector()
    projector.add(embeds)                 # at once, on any thread
    projector.fit(embeds, progress)       # seconds, on a worker's thread
    projector.add(embeds)                 # the same points in the new picture
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from audio.errors import ToolboxError

Progress = Callable[[int, int], None]
Run = Callable[..., Any]
"""``run(function, *args, check=check)`` -> ``function(*args)``, as ``toolbox.child_process.ChildProcess.call``."""
Embeds = np.ndarray | Sequence[np.ndarray]

log = logging.getLogger(__name__)

MIN_UMAP_POINTS = 8
"""With fewer, UMAP's neighbourhoods are everybody, and its picture is chance."""
PLACING_NEIGHBOURS = 4
COLD_EPOCHS = 500
WARM_EPOCHS = 200
WARM_RATE = 0.05
"""From the previous picture the points have to find their place within their neighbourhood only. Root-mean-square way
of the points when the same 80 are fitted again, in radii of the picture: 0.66 at UMAP's rate of 1, 0.3 at 0.1, 0.13 at
0.03, with speakers as well apart."""
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class _Picture:
    """A finished fit."""

    method: Literal["pca", "umap"]
    embeds: np.ndarray
    """(N, 256) unit norm."""
    coords: np.ndarray
    """(N, 2) of root-mean-square radius 1 around their own mean, turned and moved to meet the picture before."""
    mean: np.ndarray
    """(256,)"""
    axes: np.ndarray
    """(256, 2) of the PCA, in units of the picture."""
    shift: np.ndarray
    """(2,)"""


class Projector:
    """Places embeddings on a plane on which near means alike (cosine).

    UMAP (McInnes et al. 2018, arXiv 1802.03426) from 8 points on, PCA below, or where umap-learn cannot be
    imported. A new fit starts from the last picture and is turned to meet it, so that known points stay about
    where they were. The same seed and calls give the same picture.

    ``fit`` belongs in a worker, as UMAP compiles itself for seconds on its first run, and must not run twice at
    a time; ``add`` may be called from any thread meanwhile.

    Args:
        run: computes UMAP elsewhere; None = in this process.
    """

    def __init__(self, seed: int = 0, run: Run | None = None) -> None:
        self._seed = seed
        self._run = run or _run_here
        self._picture: _Picture | None = None
        self._places: dict[bytes, np.ndarray] = {}
        self._lock = threading.Lock()
        self._fitting = threading.Lock()

    @property
    def method(self) -> str:
        """"umap" or "pca": what the current picture was made by; "" when there is none."""
        picture = self._picture
        return picture.method if picture else ""

    @property
    def fitted(self) -> int:
        """How many points the current picture was fitted to."""
        picture = self._picture
        return len(picture.coords) if picture else 0

    def clear(self) -> None:
        """Forget the picture: the next one is free of it."""
        with self._lock:
            self._picture, self._places = None, {}

    def fit(self, embeds: Embeds, progress: Progress | None = None) -> np.ndarray:
        """A new picture of these embeddings (N, 256) -> their coordinates (N, 2) float32.

        ``progress`` is called between the steps; what it raises (``Cancelled``) leaves the last picture in place.
        A ToolboxError of ``run`` does too, or makes a picture by PCA where there was none by UMAP.
        """
        report = progress or (lambda done, total: None)
        points = _unit_rows(embeds)
        with self._fitting:
            report(0, 3)
            if len(points) == 0:
                self.clear()
                return np.zeros((0, 2), dtype=np.float32)
            with self._lock:
                before = self._picture
                known = np.array([row.tobytes() in self._places for row in points])
            start = self.add(points) if before is not None else None
            picture = _pca(points)
            report(1, 3)
            failure: ToolboxError | None = None
            if len(points) >= MIN_UMAP_POINTS:
                settled = before is not None and before.method == "umap" and known.mean() >= 0.5
                warm = start if settled else None
                try:
                    raw = self._umap(points, picture.coords if warm is None else warm, warm is not None, report)
                except ToolboxError as error:
                    if before is not None and before.method == "umap":
                        raise
                    failure, raw = error, None
                if raw is not None:
                    picture = _Picture("umap", points, _normalized(raw), picture.mean, picture.axes, picture.shift)
            report(2, 3)
            if start is not None and known.any():
                picture = _aligned(picture, start, known)
            report(3, 3)
            with self._lock:
                self._picture = picture
                places = zip(points, picture.coords, strict=True)
                self._places = {row.tobytes(): place for row, place in places}
            if failure is not None:
                raise failure
            return picture.coords.astype(np.float32)

    def _umap(self, points: np.ndarray, start: np.ndarray, warm: bool, report: Progress) -> np.ndarray | None:
        """Coordinates (N, 2); None where UMAP is missing or gives none."""
        try:
            coords = self._run(_umap, points, start, warm, self._seed, check=lambda: report(1, 3))
        except ImportError as error:
            # An unrelated package is called umap too, and has no UMAP.
            log.warning("no UMAP (%s): PCA is shown. Install umap-learn, and uninstall a package named umap.", error)
            return None
        return coords if np.isfinite(coords).all() else None

    def add(self, embeds: Embeds) -> np.ndarray:
        """Coordinates (K, 2) float32 in the current picture, at once: known points where they are, new ones projected.

        A new point goes to the weighted mean of its nearest neighbours. (``UMAP.transform`` takes milliseconds
        too, but only after it has compiled itself for 4 s.) Without a picture, the first is made by PCA.
        """
        points = _unit_rows(embeds)
        if len(points) == 0:
            return np.zeros((0, 2), dtype=np.float32)
        with self._lock:
            if self._picture is None:
                self._picture = _pca(points)
                self._places = {
                    row.tobytes(): place for row, place in zip(points, self._picture.coords, strict=True)
                }
            for row in points:
                if row.tobytes() not in self._places:
                    self._places[row.tobytes()] = _place(self._picture, row)
            return np.stack([self._places[row.tobytes()] for row in points]).astype(np.float32)


def _unit_rows(embeds: Embeds) -> np.ndarray:
    rows = np.asarray(embeds, dtype=np.float32)
    if rows.size == 0:
        return np.zeros((0, 0), dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"embeddings have the shape (N, 256), not {rows.shape}")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # Rows of unit norm keep their bits: they are how a point is known again.
    return np.ascontiguousarray(np.where(np.abs(norms - 1.0) < 1e-5, rows, rows / np.maximum(norms, 1e-8)))


def _pca(points: np.ndarray) -> _Picture:
    mean = points.mean(axis=0)
    centred = (points - mean).astype(np.float64)
    axes = np.zeros((points.shape[1], 2))
    if len(points) > 1:
        _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
        strong = int((strengths[:2] > 1e-6).sum())
        axes[:, :strong] = directions[:strong].T
        # A singular vector's sign is arbitrary.
        axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    coords = centred @ axes
    radius = _radius(coords)
    return _Picture("pca", points, coords / radius, mean, axes / radius, np.zeros(2))


def _run_here(function: Callable[..., Any], *args: Any, check: Callable[[], object]) -> Any:
    return function(*args)


def _umap(points: np.ndarray, start: np.ndarray, warm: bool, seed: int) -> np.ndarray:
    """Coordinates (N, 2) from a starting picture, whose arrangement is kept if ``warm``. Raises ImportError."""
    from umap import UMAP  # type: ignore[import-untyped]

    neighbours = min(math.ceil(math.sqrt(len(points))), len(points) - 1)
    reducer = UMAP(
        n_neighbors=max(neighbours, 2),
        metric="cosine",
        # Without a starting point of ours it would take the graph's eigenvectors, which few points do not have.
        init=_in_a_square(start, seed),
        n_epochs=WARM_EPOCHS if warm else COLD_EPOCHS,
        learning_rate=WARM_RATE if warm else 1.0,
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(points), dtype=np.float64)


def _in_a_square(coords: np.ndarray, seed: int) -> np.ndarray:
    """Points (N, 2) turned until their bounding box is a square, and shaken apart.

    UMAP stretches each axis of a starting picture to [0, 10], which must not distort it, and divides by zero
    where all points are one.
    """
    angles = np.linspace(0.0, np.pi / 2, 181)
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, 2, 2)
    extents = np.ptp(coords @ turns, axis=1)
    best = int(np.argmin(np.abs(extents[:, 0] - extents[:, 1])))
    shaken = coords @ turns[best] + 1e-3 * np.random.default_rng(seed).standard_normal(coords.shape)
    return np.ascontiguousarray(shaken, dtype=np.float32)


def _normalized(coords: np.ndarray) -> np.ndarray:
    centred = coords - coords.mean(axis=0)
    return centred / _radius(centred)


def _radius(centred: np.ndarray) -> float:
    radius = math.sqrt(float(np.mean(np.sum(centred**2, axis=1))))
    return radius if radius > 1e-9 else 1.0


def _aligned(picture: _Picture, before: np.ndarray, known: np.ndarray) -> _Picture:
    """The picture turned, mirrored and moved so that its known points come nearest to where they were (Procrustes).

    Not scaled: the best scale of an imperfect match is below 1, and would shrink the picture with every fit.
    """
    old, new = before[known].astype(np.float64), picture.coords[known]
    old_mean, new_mean = old.mean(axis=0), new.mean(axis=0)
    left, _, right = np.linalg.svd((new - new_mean).T @ (old - old_mean))
    turn = left @ right
    shift = old_mean - new_mean @ turn
    return _Picture(
        picture.method,
        picture.embeds,
        picture.coords @ turn + shift,
        picture.mean,
        picture.axes @ turn,
        picture.shift @ turn + shift,
    )


def _place(picture: _Picture, embed: np.ndarray) -> np.ndarray:
    """Where a new embedding (256,) goes in a picture -> (2,)."""
    if picture.method == "pca":
        return (embed - picture.mean) @ picture.axes + picture.shift
    distances = np.maximum(1.0 - picture.embeds @ embed, 1e-6)
    nearest = np.argsort(distances, kind="stable")[:PLACING_NEIGHBOURS]
    weights = distances[nearest] ** -2
    return (weights @ picture.coords[nearest]) / weights.sum()


def spread(embeds: Embeds) -> float | None:
    """Mean pairwise cosine of embeddings (N, 256): how alike the clips of a speaker are; None for fewer than two."""
    rows = _unit_rows(embeds)
    if len(rows) < 2:
        return None
    cosines = rows @ rows.T
    return float((cosines.sum() - np.trace(cosines)) / (len(rows) * (len(rows) - 1)))


def speaker_similarity(embeds: Embeds, speakers: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """How alike speakers are: (names in order of appearance, matrix (K, K) of mean cosines between their clips).

    On the diagonal is the ``spread`` of a speaker's own clips, 1 for a single clip.
    """
    rows = _unit_rows(embeds)
    if len(rows) != len(speakers):
        raise ValueError(f"{len(rows)} embeddings, but {len(speakers)} speakers")
    names = list(dict.fromkeys(speakers))
    if not names:
        return [], np.zeros((0, 0), dtype=np.float32)
    member = np.array([[speaker == name for speaker in speakers] for name in names], dtype=np.float64)
    counts = member.sum(axis=1)
    sums = member @ rows
    matrix = (sums @ sums.T) / np.outer(counts, counts)
    for index, name in enumerate(names):
        own = spread(rows[[speaker == name for speaker in speakers]])
        matrix[index, index] = 1.0 if own is None else own
    return names, matrix.astype(np.float32)


@dataclass(frozen=True)
class CloneScore:
    """How near a clone comes to its voice, beside the two numbers that say whether that is near."""

    similarity: float
    """Cosine of the clone to the centroid of its reference clips."""
    own_spread: float | None
    """Mean cosine of each of the speaker's clips to the centroid of the others: what the speaker's next clip would
    get. With one clip, of its partial embeddings, which overlap and so come nearer. None when there is neither."""
    nearest_other: tuple[str, float] | None
    """The other speaker to whose centroid the clone is nearest, and that cosine."""

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        text = f"Similarity to the reference {self.similarity:.2f}"
        if self.own_spread is not None:
            text += f"; the speaker's own clips {self.own_spread:.2f}"
        if self.nearest_other is not None:
            text += f"; nearest other voice {self.nearest_other[0]} {self.nearest_other[1]:.2f}"
        return text + "."


def judge_clone(
    clone_embed: np.ndarray,
    reference_embeds: Embeds,
    others: Mapping[str, Embeds] | None = None,
    partials: Embeds | None = None,
) -> CloneScore:
    """Compare a clone (256,) with the clips (N, 256) that it was made from and with other speakers.

    Args:
        others: speaker -> embeddings (M, 256) of its clips, or of one voice (256,).
        partials: (P, 256) partial embeddings of the only reference clip.

    Raises:
        ValueError: no reference.
    """
    clone = _unit_rows(np.asarray(clone_embed)[None])[0]
    references = _rows_of(reference_embeds)
    if len(references) == 0:
        raise ValueError("a clone is compared with at least one reference")
    own = _held_out_cosine(references)
    if own is None and partials is not None:
        own = _held_out_cosine(_rows_of(partials))
    nearest: tuple[str, float] | None = None
    for name, embeds in (others or {}).items():
        rows = _rows_of(embeds)
        if len(rows):
            cosine = float(clone @ _centroid(rows))
            if nearest is None or cosine > nearest[1]:
                nearest = (name, cosine)
    return CloneScore(float(clone @ _centroid(references)), own, nearest)


def _rows_of(embeds: Embeds) -> np.ndarray:
    rows = np.asarray(embeds, dtype=np.float32)
    return _unit_rows(rows[None] if rows.ndim == 1 and rows.size else rows)


def _centroid(rows: np.ndarray) -> np.ndarray:
    mean = rows.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-8)


def _held_out_cosine(rows: np.ndarray) -> float | None:
    """Mean cosine of each row to the centroid of the others; None for fewer than two.

    Not pairwise: a centroid is nearer to everything than a single clip is, and the clone is measured against one.
    """
    if len(rows) < 2:
        return None
    others = rows.sum(axis=0) - rows
    return float(np.mean(np.sum(rows * others, axis=1) / np.maximum(np.linalg.norm(others, axis=1), 1e-8)))


def colour_of(index: int) -> tuple[int, int, int]:
    """Colour (red, green, blue), 0 to 255 each, of the index-th speaker, for any number of speakers.

    Hues step by the golden angle, so that the next one lies far away and none comes twice; speakers of near hues (5,
    8 or 13 apart) differ in lightness, whose range has a contrast of at least 3 to 1 (WCAG 2.1, 1.4.11) on white and
    on #1e1e1e. The first 20 are told apart by eye, the first 2,000 have no colour twice.
    """
    if index < 0:
        raise ValueError("speakers are counted from 0")
    hue = 2.0 * math.pi * ((0.07 + index * _GOLDEN) % 1.0)
    lightness = (0.595, 0.635, 0.55)[index % 3] + 0.012 * (index // 3 * 0.7548776662 % 1.0)
    chroma = 0.19 - 0.05 * (index // 3 * 0.5698402910 % 1.0)
    while True:
        linear = _oklch_to_linear(lightness, chroma, hue)
        if min(linear) >= 0.0 and max(linear) <= 1.0:
            return (_gamma(linear[0]), _gamma(linear[1]), _gamma(linear[2]))
        chroma -= 0.004


def _oklch_to_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH (Ottosson 2020) -> linear sRGB, outside [0, 1] where the screen has no such colour."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(linear: float) -> int:
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * value)
