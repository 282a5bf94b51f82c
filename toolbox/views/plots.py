"""Light widgets that draw sound, mels, embeddings, alignments and levels; know arrays, and neither state nor models."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from PyQt5.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QSizePolicy, QWidget

from toolbox.theme import Colors, colors
from toolbox.views.canvas import Plot, heat_map, narrowed, scaled, small_font, value_range
from toolbox.views.waveform import WaveformView

__all__ = [
    "AlignmentView", "EmbeddingView", "LevelMeter", "MelView", "Plot", "WaveformView", "heat_map",
    "small_font",
]

MEL_RANGE = (-4.0, 4.0)
ROOM_FOR_WORDS = 80


class MelView(Plot):
    """A mel spectrogram, low bands at the bottom, with a playhead."""

    def __init__(self, parent: QWidget | None = None, empty_text: str = "No mel spectrogram yet") -> None:
        super().__init__(parent, empty_text)
        self._mel: np.ndarray | None = None
        self._position: float | None = None

    def is_empty(self) -> bool:
        return self._mel is None or self._mel.size == 0

    def set_mel(self, mel: np.ndarray | None) -> None:
        """Show a mel (n_mels, T)."""
        if mel is not self._mel:
            self._mel, self._position = mel, None
            self._redraw()

    def set_position(self, fraction: float | None) -> None:
        """Move the playhead to a share of the length; None hides it."""
        if fraction != self._position:
            before, self._position = self._position, fraction
            area = self.area()
            for at in (before, fraction):
                self._update_columns(None if at is None else area.left() + at * area.width())

    def _render(self, width: int, height: int) -> QImage:
        assert self._mel is not None
        mel = narrowed(np.asarray(self._mel, dtype=np.float32), width)
        low, high = value_range(mel, *MEL_RANGE)
        return scaled(heat_map(mel[::-1], low, high), width, height)

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        super()._draw(painter, area, now)
        if self._position is not None:
            painter.setPen(QPen(now.playhead, 2))
            x = area.left() + min(max(self._position, 0.0), 1.0) * area.width()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))


class EmbeddingView(Plot):
    """An embedding as a square map, row by row, with the range of its values underneath."""

    def __init__(self, parent: QWidget | None = None, empty_text: str = "No embedding yet") -> None:
        super().__init__(parent, empty_text, QSize(80, 64))
        self._embed: np.ndarray | None = None

    def is_empty(self) -> bool:
        return self._embed is None or self._embed.size == 0

    def set_embed(self, embed: np.ndarray | None) -> None:
        """Show an embedding (E,)."""
        if embed is not self._embed:
            self._embed = embed
            self.setToolTip("")
            if embed is not None and embed.size:
                zeros = float(np.mean(embed == 0))
                self.setToolTip(f"{embed.size} values, {self._words()}; {zeros:.0%} are zero")
            self._redraw()

    def _words(self) -> str:
        assert self._embed is not None
        return f"{float(self._embed.min()):.2f} to {float(self._embed.max()):.2f}"

    def _render(self, width: int, height: int) -> QImage:
        assert self._embed is not None
        side = math.ceil(math.sqrt(self._embed.size))
        cells = np.full(side * side, np.nan, dtype=np.float32)
        cells[: self._embed.size] = self._embed
        image = heat_map(cells.reshape(side, side), float(self._embed.min()), float(self._embed.max()))
        return scaled(image, width, height, smooth=False)

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        # A low view leaves the range to the tooltip: the map would be too small to be seen.
        words = painter.fontMetrics().height() if area.height() >= ROOM_FOR_WORDS else 0
        side = max(8, min(area.width() - 4, area.height() - words - 4))
        left = area.left() + (area.width() - side) // 2
        top = area.top() + max(2, (area.height() - words - side) // 2)
        square = QRect(left, top, side, side)
        painter.drawImage(QRectF(square), self._rendered(square))
        if words:
            painter.setPen(now.dim)
            box = QRect(area.left(), square.bottom() + 1, area.width(), words)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), self._words())


class AlignmentView(Plot):
    """Attention of each segment side by side: decoder steps to the right, symbols upwards; failed ones framed."""

    def __init__(self, parent: QWidget | None = None, empty_text: str = "No alignment yet") -> None:
        super().__init__(parent, empty_text, QSize(80, 70))
        self._alignments: tuple[np.ndarray, ...] = ()
        self._ok: tuple[bool, ...] = ()

    def is_empty(self) -> bool:
        return not self._alignments

    def set_alignments(self, alignments: Sequence[np.ndarray], ok: Sequence[bool] = ()) -> None:
        """Show matrices (T / r, L), and which of them are as they should be (all, when not said)."""
        self._alignments = tuple(alignment for alignment in alignments if alignment.size)
        marks = tuple(ok) or (True,) * len(alignments)
        self._ok = tuple(mark for mark, alignment in zip(marks, alignments, strict=True) if alignment.size)
        self._redraw()

    def spans(self, width: float) -> list[tuple[float, float]]:
        """(left, width) of each segment on that width, by its number of steps."""
        steps = np.array([0, *(len(alignment) for alignment in self._alignments)], dtype=float)
        edges = np.cumsum(steps) * width / max(steps.sum(), 1.0)
        return [(float(a), float(b - a)) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def _render(self, width: int, height: int) -> QImage:
        picture = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
        picture.fill(colors(self).base)
        painter = QPainter(picture)
        for alignment, (left, span) in zip(self._alignments, self.spans(width), strict=True):
            columns = max(1, math.ceil(span))
            values = narrowed(np.asarray(alignment, dtype=np.float32).T, columns)
            image = heat_map(values[::-1], 0.0, max(float(np.nan_to_num(values).max()), 0.2))
            painter.drawImage(QPoint(round(left), 0), scaled(image, columns, height))
        painter.end()
        return picture

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        super()._draw(painter, area, now)
        for (left, span), ok in zip(self.spans(area.width()), self._ok, strict=True):
            if left > 0:
                painter.setPen(QPen(now.base, 2))
                painter.drawLine(QPointF(area.left() + left, area.top()), QPointF(area.left() + left, area.bottom()))
            if not ok:
                painter.setPen(QPen(now.bad, 2))
                painter.drawRect(QRectF(area.left() + left + 1, area.top() + 1, max(span - 2, 1), area.height() - 2))


class LevelMeter(QWidget):
    """The level of what is being recorded: a bar for the mean power, a tick for the peak of the last second."""

    FLOOR = -60.0
    LOUD, TOO_LOUD = -12.0, -3.0
    HOLD = 1.0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rms = self._peak = -120.0
        self._peak_time = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Recording level")

    def sizeHint(self) -> QSize:
        return QSize(120, 12)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, 12)

    @property
    def peak(self) -> float:
        """dBFS of the tick."""
        return self._peak

    def set_level(self, rms_dbfs: float, peak_dbfs: float) -> None:
        """Show levels in dBFS; a lower peak replaces the held one only after a second."""
        now = time.monotonic()
        if peak_dbfs >= self._peak or now - self._peak_time > self.HOLD:
            self._peak, self._peak_time = peak_dbfs, now
        self._rms = rms_dbfs
        self.update()

    def reset(self) -> None:
        """Show silence and forget the peak."""
        self._rms = self._peak = -120.0
        self.update()

    def color(self, dbfs: float) -> QColor:
        """Colour of a level: clear, loud, too loud."""
        now = colors(self)
        return now.bad if dbfs >= self.TOO_LOUD else now.warn if dbfs >= self.LOUD else now.good

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        now = colors(self)
        painter.fillRect(self.rect(), now.base)
        area = self.rect().adjusted(1, 1, -1, -1)
        edges = (self.FLOOR, self.LOUD, self.TOO_LOUD, 0.0)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            if self._rms > low:
                start, end = self._x(low, area), self._x(min(self._rms, high), area)
                painter.fillRect(QRectF(start, area.top(), end - start, area.height()), self.color(low))
        if self._peak > self.FLOOR:
            x = min(self._x(self._peak, area), area.right() - 1)
            painter.fillRect(QRectF(x, area.top(), 2, area.height()), self.color(self._peak))
        painter.setPen(now.line)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _x(self, dbfs: float, area: QRect) -> float:
        return area.left() + area.width() * min(max(1 - dbfs / self.FLOOR, 0.0), 1.0)
