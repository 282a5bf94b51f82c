"""The canvas on which the map of utterances is drawn; knows points and colours, no state.

It imports matplotlib, so nothing imports it before the window shows: ``ComparisonPanel.start_canvas`` does.
"""

from __future__ import annotations

import html
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QMouseEvent, QPalette, QResizeEvent, QShowEvent, QWheelEvent
from PyQt5.QtWidgets import QSizePolicy, QToolTip, QWidget

from audio.errors import ToolboxError
from toolbox.state import Point
from toolbox.theme import Colors, colors

MARGIN = 26
"""Pixels between the outermost points and the border of the whole view."""
REACH = 9.0
"""Pixels from a point within which the mouse means it."""
DRAG = 4
"""Pixels after which a press is a drag."""
DOT, CROSS, RING = 42.0, 46.0, 150.0
"""Areas of the marks in square points."""
PICTURE_SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
_WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans",
    "Yu Gothic", "Malgun Gothic", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS",
)


class MapCanvas(FigureCanvasQTAgg):
    """Dots for recordings and crosses for clones, with zoom, pan and selection.

    The view is a centre in map units and a scale in map units a pixel, the same for both axes: distances are
    what the picture is about. It covers all points until the user moves it, and stays where the user put it.
    """

    point_clicked = pyqtSignal(str, int)
    """Kind and id."""

    _ready = False
    """Qt sends events while the base class is still being built."""

    def __init__(self, parent: QWidget | None = None) -> None:
        figure = Figure()
        super().__init__(figure)
        self.setParent(parent)
        # The base class has given itself a white one.
        self.setPalette(QPalette())
        self.setObjectName("map_canvas")
        self.setAccessibleName("Map of utterances")
        self.setAccessibleDescription(
            "Dots are recordings, crosses are clones. Arrows move, plus and minus zoom, Home shows all, "
            "Page Up and Page Down go through the points, Return plays."
        )
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 120)
        self._axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_xticks([])
        self._axes.set_yticks([])
        self._dots, self._halos, self._crosses, self._rings = _collections(self._axes)
        self._points: tuple[Point, ...] = ()
        self._xy = np.zeros((0, 2))
        self._speaker_colors: Mapping[str, str] = {}
        self._selected: frozenset[tuple[str, int]] = frozenset()
        self._method = ""
        self._center = (0.0, 0.0)
        self._scale = 1.0
        self._moved = False
        self._pressed: QPoint | None = None
        self._dragging = False
        self._hovered: int | None = None
        self._stale = True
        self._ready = True
        self.restyle()

    # --- what is shown

    def set_points(self, points: Sequence[Point], speaker_colors: Mapping[str, str], method: str) -> None:
        """Show these; points without a finite place are left out. A view that the user chose stays."""
        self._points = tuple(point for point in points if math.isfinite(point.x) and math.isfinite(point.y))
        self._xy = np.array([(point.x, point.y) for point in self._points], dtype=float).reshape(-1, 2)
        self._speaker_colors = speaker_colors
        new_method, self._method = method != self._method, method
        self._hovered = None
        self._fill()
        # Another method has other coordinates: what the user looked at is no longer there.
        if not self._moved or new_method or not self._any_in_view():
            self.reset_view()
        else:
            self._apply_view()

    def set_selected(self, selected: frozenset[tuple[str, int]]) -> None:
        """Ring the points with these kinds and ids."""
        if selected != self._selected:
            self._selected = selected
            self._fill_rings()
            self._redraw()

    def restyle(self) -> None:
        """Take the colours of the palette."""
        now = colors(self)
        self.figure.set_facecolor(now.base.name())
        self._axes.set_facecolor(now.base.name())
        for spine in self._axes.spines.values():
            spine.set_color(now.line.name())
        self._fill()
        self._redraw()

    @property
    def points(self) -> tuple[Point, ...]:
        """What is shown."""
        return self._points

    @property
    def moved(self) -> bool:
        """Whether the user has zoomed or moved the view."""
        return self._moved

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the view in map units."""
        (left, right), (bottom, top) = self._axes.get_xlim(), self._axes.get_ylim()
        return float(left), float(right), float(bottom), float(top)

    # --- the view

    def reset_view(self) -> None:
        """Show all points."""
        self._moved = False
        self._center, self._scale = self._whole()
        self._apply_view()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Magnify by a factor about a pixel (the middle without one)."""
        if not self._points:
            return
        whole = self._whole()[1]
        scale = min(max(self._scale / factor, whole / 200), whole * 4)
        pixel = at if at is not None else QPointF(self.width() / 2, self.height() / 2)
        dx, dy = pixel.x() - self.width() / 2, self.height() / 2 - pixel.y()
        change = self._scale - scale
        self._center = (self._center[0] + dx * change, self._center[1] + dy * change)
        self._scale = scale
        self._moved = True
        self._apply_view()

    def pan(self, dx: float, dy: float) -> None:
        """Move the points by pixels to the right and down."""
        if self._points:
            self._center = (self._center[0] - dx * self._scale, self._center[1] + dy * self._scale)
            self._moved = True
            self._apply_view()

    def pixel_of(self, index: int) -> QPoint:
        """Where a point is drawn."""
        x, y = self._pixels()[index]
        return QPoint(round(x), round(y))

    def point_at(self, position: QPoint) -> int | None:
        """Number of the point under a pixel; crosses lie above dots."""
        if not self._points:
            return None
        distance = np.hypot(*(self._pixels() - (position.x(), position.y())).T)
        distance -= [0.5 if point.kind == "result" else 0.0 for point in self._points]
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= REACH else None

    def _pixels(self) -> np.ndarray:
        offset = (self._xy - self._center) / self._scale
        return np.stack([self.width() / 2 + offset[:, 0], self.height() / 2 - offset[:, 1]], axis=1)

    def _any_in_view(self) -> bool:
        pixels = self._pixels()
        return bool(((pixels >= 0) & (pixels <= (self.width(), self.height()))).all(axis=1).any())

    def _whole(self) -> tuple[tuple[float, float], float]:
        if not self._points:
            return (0.0, 0.0), 1.0
        low, high = self._xy.min(axis=0), self._xy.max(axis=0)
        room = (max(self.width() - 2 * MARGIN, 20), max(self.height() - 2 * MARGIN, 20))
        scale = max((high[0] - low[0]) / room[0], (high[1] - low[1]) / room[1])
        middle = (low + high) / 2
        return (float(middle[0]), float(middle[1])), float(scale) if scale > 1e-12 else 0.01

    def _apply_view(self) -> None:
        half_width, half_height = self._scale * self.width() / 2, self._scale * self.height() / 2
        self._axes.set_xlim(self._center[0] - half_width, self._center[0] + half_width)
        self._axes.set_ylim(self._center[1] - half_height, self._center[1] + half_height)
        self._redraw()

    # --- drawing

    def _fill(self) -> None:
        now = colors(self)
        for collection, kind in ((self._dots, "clip"), (self._crosses, "result")):
            chosen = [index for index, point in enumerate(self._points) if point.kind == kind]
            shades = [self._speaker_colors.get(self._points[i].speaker, now.dim.name()) for i in chosen]
            collection.set_offsets(self._xy[chosen])
            if kind == "clip":
                collection.set_facecolor(shades)
                collection.set_edgecolor(now.base.name())
            else:
                collection.set_color(shades)
                self._halos.set_offsets(self._xy[chosen])
                self._halos.set_color(now.base.name())
        self._fill_rings()

    def _fill_rings(self) -> None:
        ringed = [i for i, point in enumerate(self._points) if (point.kind, point.id) in self._selected]
        self._rings.set_offsets(self._xy[ringed])
        self._rings.set_edgecolor(colors(self).text.name())

    def _redraw(self) -> None:
        # A hidden canvas is drawn once, when it is shown.
        if self.isVisible():
            self.draw_idle()
        else:
            self._stale = True

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if self._ready and event.type() == QEvent.Type.PaletteChange:
            self.restyle()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._stale = False
            self.draw_idle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._moved:
            self._apply_view()
        else:
            self.reset_view()

    # --- mouse and keys; those of matplotlib are not wanted

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._dragging = event.pos(), False
            self.setFocus(Qt.FocusReason.MouseFocusReason)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            self._hover(self.point_at(event.pos()), event.globalPos())
            return
        step = event.pos() - self._pressed
        if not self._dragging and step.manhattanLength() < DRAG:
            return
        self._dragging = True
        self.setCursor(Qt.CursorShape.ClosedHandCursor)
        self.pan(step.x(), step.y())
        self._pressed = event.pos()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._pressed is None:
            return
        dragged, self._pressed, self._dragging = self._dragging, None, False
        index = self.point_at(event.pos())
        self.setCursor(Qt.CursorShape.ArrowCursor if index is None else Qt.CursorShape.PointingHandCursor)
        if not dragged and index is not None:
            self._play(index)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.point_at(event.pos()) is None:
            self.reset_view()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self.zoom(1.2 ** (event.angleDelta().y() / 120), QPointF(event.position()))
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(None, QPoint())

    def enterEvent(self, event: QEvent) -> None:
        """Nothing happens before the mouse moves."""

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: (40, 0), Qt.Key.Key_Right: (-40, 0), Qt.Key.Key_Up: (0, 40), Qt.Key.Key_Down: (0, -40),
        }
        key = event.key()
        if key in moves:
            self.pan(*moves[Qt.Key(key)])
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(1.2)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / 1.2)
        elif key == Qt.Key.Key_Home:
            self.reset_view()
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown) and self._points:
            self._play(self._beside(1 if key == Qt.Key.Key_PageDown else -1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._ringed() is not None:
            self._play(self._ringed() or 0)
        else:
            event.ignore()

    def _ringed(self) -> int | None:
        return next((i for i, point in enumerate(self._points) if (point.kind, point.id) in self._selected), None)

    def _beside(self, step: int) -> int:
        ringed = self._ringed()
        if ringed is None:
            return 0 if step > 0 else len(self._points) - 1
        return (ringed + step) % len(self._points)

    def _play(self, index: int) -> None:
        point = self._points[index]
        self.set_selected(frozenset({(point.kind, point.id)}))
        self.point_clicked.emit(point.kind, point.id)

    def _hover(self, index: int | None, position: QPoint) -> None:
        if index == self._hovered:
            return
        self._hovered = index
        if index is None:
            QToolTip.hideText()
            self.setCursor(Qt.CursorShape.ArrowCursor)
        else:
            QToolTip.showText(position, describe(self._points[index]), self)
            self.setCursor(Qt.CursorShape.PointingHandCursor)


def describe(point: Point) -> str:
    """What the tooltip of a point says, as rich text: names may hold anything."""
    origin = "recording" if point.kind == "clip" else "clone"
    lines = [f"<b>{html.escape(point.name or point.speaker)}</b>", f"{html.escape(point.speaker)} · {origin}"]
    if point.similarity is not None and math.isfinite(point.similarity):
        lines.append(f"similarity to the current voice {point.similarity:.2f}")
    return "<qt>" + "<br>".join(lines) + "</qt>"


def picture_writer(
    path: Path,
    points: Sequence[Point],
    speaker_colors: Mapping[str, str],
    limits: tuple[float, float, float, float],
    size: tuple[int, int],
    theme: Colors,
    caption: str,
) -> Callable[[], Path]:
    """A function that draws the map with a legend of all speakers, writes it, and returns the file's path.

    It touches no widget, so that a worker may run it. A suffix that is not in ``PICTURE_SUFFIXES`` gets .png
    behind it.

    Raises ToolboxError (the function): the file cannot be written.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        path = path.with_name(path.name + ".png")
    base, text, line = theme.base.name(), theme.text.name(), theme.line.name()

    def write() -> Path:
        figure = _picture(points, speaker_colors, limits, size, (base, text, line), caption)
        handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent) if path.parent.is_dir() else (
            -1, "")
        if handle < 0:
            raise ToolboxError(f"The picture was not saved: there is no folder {path.parent}.")
        os.close(handle)
        try:
            figure.savefig(name, dpi=200, facecolor=base, bbox_inches="tight", pad_inches=0.1)
            os.replace(name, path)
        except OSError as error:
            raise ToolboxError(
                f"The picture was not saved in {path.parent} ({error.strerror}): make room or choose another folder."
            ) from error
        finally:
            Path(name).unlink(missing_ok=True)
        return path

    return write


def _picture(
    points: Sequence[Point], speaker_colors: Mapping[str, str], limits: tuple[float, float, float, float],
    size: tuple[int, int], shades: tuple[str, str, str], caption: str,
) -> Figure:
    base, text, line = shades
    figure = Figure(figsize=(max(size[0], 200) / 100, max(size[1], 200) / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xticks=[], yticks=[], xlim=limits[:2], ylim=limits[2:], facecolor=base)
    for spine in axes.spines.values():
        spine.set_color(line)
    dots, halos, crosses, _ = _collections(axes)
    halos.set_color(base)
    for collection, kind in ((dots, "clip"), (halos, "result"), (crosses, "result")):
        chosen = [point for point in points if point.kind == kind]
        shown = [speaker_colors.get(point.speaker, text) for point in chosen]
        collection.set_offsets(np.array([(point.x, point.y) for point in chosen], dtype=float).reshape(-1, 2))
        if collection is not halos:
            collection.set_color(shown)
    dots.set_edgecolor(base)
    names = list(dict.fromkeys(point.speaker for point in points))
    handles = [Line2D([], [], linestyle="", marker="o", color=speaker_colors.get(name, text)) for name in names]
    handles += [Line2D([], [], linestyle="", marker=marker, color=text) for marker in ("o", "x")]
    names += ["recorded", "cloned"]
    columns = max(1, round(size[0] / (24 + 7 * max(len(name) for name in names))))
    known = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _WIDE_FONTS if name in known)]
    # A dollar sign would open a formula.
    legend = figure.legend(
        handles, [name.replace("$", r"\$") for name in names], loc="upper center", bbox_to_anchor=(0.5, -0.01),
        ncols=columns, frameon=False, labelcolor=text, title=caption,
        prop=font_manager.FontProperties(family=families, size=8),
    )
    legend.get_title().set(color=text, fontsize=8)
    return figure


def _collections(axes: object) -> tuple[PathCollection, PathCollection, PathCollection, PathCollection]:
    """Dots, halos of the crosses (a cross on a dot of its own colour would be lost), crosses and rings."""
    scatter = axes.scatter  # type: ignore[attr-defined]
    return (
        scatter([], [], s=DOT, marker="o", linewidths=0.8, zorder=2),
        scatter([], [], s=CROSS * 1.3, marker="x", linewidths=4.2, zorder=3),
        scatter([], [], s=CROSS, marker="x", linewidths=2.0, zorder=3.5),
        scatter([], [], s=RING, marker="o", facecolors="none", linewidths=1.4, zorder=4),
    )
