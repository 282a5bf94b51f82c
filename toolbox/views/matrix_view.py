"""A square table of similarities as a heat map; knows names and numbers, no state."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from PyQt5.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PyQt5.QtWidgets import QSizePolicy, QToolTip, QWidget

from toolbox.theme import HEAT, Colors, colors

NUMBER_CELL = 26
"""Pixels of a cell from which its number is written in it."""
LARGEST_CELL = 110
GAP = 6


class MatrixView(QWidget):
    """Rows and columns have the same names; NaN cells are empty. The arrow keys go from cell to cell."""

    cell_changed = pyqtSignal(str)
    """What the line under the scale says about the current cell, "" when there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty_text = "No similarities yet"
        self.nothing_text = "–"
        self.caption = ""
        """Stands under the scale while no cell is pointed at."""
        self._names: tuple[str, ...] = ()
        self._matrix = np.zeros((0, 0), dtype=np.float32)
        self._low, self._high = 0.0, 1.0
        self._cell: tuple[int, int] | None = None
        self._widest_known: int | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Similarity of the speakers")

    def set_matrix(self, names: Sequence[str], matrix: np.ndarray) -> None:
        """Show cosines (N, N) between N names."""
        values = np.asarray(matrix, dtype=np.float32)
        if values.shape != (len(names), len(names)):
            raise ValueError(f"{len(names)} names do not fit a matrix of shape {values.shape}")
        self._names, self._matrix = tuple(names), values
        self._widest_known = None
        finite = values[np.isfinite(values)]
        # A scale that ends at round tenths stays put while clips are added.
        self._high = 1.0
        self._low = min(0.9, math.floor(float(finite.min()) * 10) / 10) if finite.size else 0.0
        if self._cell is not None and max(self._cell) >= len(names):
            self._cell = None
        self._say()

    @property
    def cell(self) -> tuple[int, int] | None:
        """Row and column that are pointed at."""
        return self._cell

    def describe(self, cell: tuple[int, int] | None) -> str:
        """A cell in words."""
        if cell is None:
            return ""
        row, column = cell
        value = float(self._matrix[row, column])
        if row == column:
            said = f"{value:.2f} among its own clips" if math.isfinite(value) else "one clip, nothing to compare"
            return f"{self._names[row]}: {said}"
        said = f"{value:.2f}" if math.isfinite(value) else "not known"
        return f"{self._names[row]} / {self._names[column]}: {said}"

    def cell_rect(self, row: int, column: int) -> QRectF:
        """Where a cell is drawn."""
        origin, size = self._geometry()
        return QRectF(origin.x() + column * size, origin.y() + row * size, size, size)

    def cell_at(self, position: QPoint) -> tuple[int, int] | None:
        """Row and column at a pixel."""
        if not self._names:
            return None
        origin, size = self._geometry()
        column = math.floor((position.x() - origin.x()) / size)
        row = math.floor((position.y() - origin.y()) / size)
        inside = 0 <= row < len(self._names) and 0 <= column < len(self._names)
        return (row, column) if inside else None

    def sizeHint(self) -> QSize:
        return QSize(280, 280)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 120)

    # --- mouse and keys

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is None:
            return
        cell = self.cell_at(event.pos())
        if cell != self._cell:
            self._point_at(cell)
            if cell is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), f"<qt>{html.escape(self.describe(cell))}</qt>", self)

    def leaveEvent(self, event: QEvent | None) -> None:
        if not self.hasFocus():
            self._point_at(None)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._widest_known = None
            self.update()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        self._point_at(None)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None:
            return
        steps = {
            Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0),
        }
        if event.key() not in steps or not self._names:
            event.ignore()
            return
        down, right = steps[Qt.Key(event.key())]
        row, column = self._cell or (0, 0)
        last = len(self._names) - 1
        if self._cell is not None:
            row, column = min(max(row + down, 0), last), min(max(column + right, 0), last)
        self._point_at((row, column))

    def _point_at(self, cell: tuple[int, int] | None) -> None:
        if cell != self._cell:
            self._cell = cell
            self._say()

    def _say(self) -> None:
        said = self.describe(self._cell)
        self.setAccessibleDescription(said)
        self.cell_changed.emit(said)
        self.update()

    # --- drawing

    def _small_font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(8.0, font.pointSizeF() - 2))
        return font

    def _label_room(self) -> int:
        return min(self._widest() + 8, int(self.width() * 0.34))

    def _widest(self) -> int:
        if self._widest_known is None:
            metrics = QFontMetrics(self._small_font())
            self._widest_known = max((metrics.horizontalAdvance(name) for name in self._names), default=0)
        return self._widest_known

    def _footer(self) -> int:
        """Height of the scale, its numbers and two lines of words."""
        return 2 * GAP + 10 + 3 * QFontMetrics(self._small_font()).height() + GAP

    def _layout(self) -> tuple[QPoint, float, bool]:
        """Upper left corner of the first cell, size of a cell, and whether the columns' names lie flat."""
        left, count = self._label_room(), max(len(self._names), 1)
        metrics = QFontMetrics(self._small_font())
        flat_top = metrics.height() + 6
        for top, flat in ((flat_top, True), (min(left, int(self.height() * 0.28)), False)):
            size = min((self.width() - left - 1) / count, (self.height() - top - self._footer()) / count, LARGEST_CELL)
            size = max(float(int(size)) if size >= 8 else size, 0.1)
            if not flat or self._widest() + 6 <= size:
                break
        side = max(0, (self.width() - left - round(size * count)) // 2)
        return QPoint(side + left, top), size, flat

    def _geometry(self) -> tuple[QPoint, float]:
        return self._layout()[:2]

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        now = colors(self)
        painter.setFont(self._small_font())
        if not self._names:
            painter.setPen(now.dim)
            painter.setFont(self.font())
            room = self.rect().adjusted(16, 16, -16, -16)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), self.empty_text)
            return
        self._paint_cells(painter, now)
        self._paint_names(painter, now)
        self._paint_scale(painter, now)

    def _paint_cells(self, painter: QPainter, now: Colors) -> None:
        origin, size = self._geometry()
        count = len(self._names)
        # One picture with a pixel a cell: two hundred speakers are 40,000 cells.
        painter.drawImage(QRectF(origin.x(), origin.y(), size * count, size * count), self._picture(now))
        if size >= 8:
            painter.setPen(now.window)
            for step in range(1, count):
                x, y = int(origin.x() + step * size) - 1, int(origin.y() + step * size) - 1
                painter.drawLine(x, origin.y(), x, int(origin.y() + size * count) - 1)
                painter.drawLine(origin.x(), y, int(origin.x() + size * count) - 1, y)
        if size >= NUMBER_CELL:
            digits = ".2f" if size >= 32 else ".1f"
            for row, column in np.ndindex(count, count):
                value = float(self._matrix[row, column])
                painter.setPen(_ink(self._shade(value) if math.isfinite(value) else now.panel))
                said = format(value, digits) if math.isfinite(value) else self.nothing_text
                painter.drawText(self.cell_rect(row, column), int(Qt.AlignmentFlag.AlignCenter), said)
        if self._cell is not None:
            painter.setPen(QPen(now.text, 2))
            painter.drawRect(self.cell_rect(*self._cell).adjusted(0, 0, -1, -1))

    def _picture(self, now: Colors) -> QImage:
        finite = np.isfinite(self._matrix)
        share = np.clip((np.where(finite, self._matrix, 0) - self._low) / (self._high - self._low), 0, 1)
        pixels = HEAT[np.rint(share * 255).astype(int)]
        pixels[~finite] = now.panel.getRgb()[:3]
        pixels = np.ascontiguousarray(pixels)
        count = len(self._names)
        return QImage(pixels.tobytes(), count, count, 3 * count, QImage.Format.Format_RGB888).copy()

    def _paint_names(self, painter: QPainter, now: Colors) -> None:
        origin, size, flat = self._layout()
        labels, metrics = self._label_room(), painter.fontMetrics()
        room, room_above = labels - 6, max(origin.y() - 6, int(size) - 4 if flat else 0)
        every = max(1, math.ceil((metrics.height() - 2) / size))
        shown_rows = self._shown(every, self._cell[0] if self._cell else None)
        shown_columns = self._shown(every, self._cell[1] if self._cell else None)
        for index in shown_rows:
            name = metrics.elidedText(self._names[index], Qt.TextElideMode.ElideRight, room)
            middle = origin.y() + (index + 0.5) * size
            rect = QRectF(origin.x() - labels, middle - metrics.height() / 2, room, metrics.height())
            painter.setPen(now.text if self._cell and self._cell[0] == index else now.dim)
            painter.drawText(rect, int(Qt.AlignmentFlag.AlignRight) | int(Qt.AlignmentFlag.AlignVCenter), name)
        for index in shown_columns:
            name = metrics.elidedText(self._names[index], Qt.TextElideMode.ElideRight, room_above)
            middle = origin.x() + (index + 0.5) * size
            painter.setPen(now.text if self._cell and self._cell[1] == index else now.dim)
            if flat:
                rect = QRectF(middle - size / 2, origin.y() - metrics.height() - 4, size, metrics.height())
                painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), name)
                continue
            painter.save()
            painter.translate(middle, origin.y() - 5)
            painter.rotate(-90)
            rect = QRectF(0, -metrics.height() / 2, room_above, metrics.height())
            painter.drawText(rect, int(Qt.AlignmentFlag.AlignLeft) | int(Qt.AlignmentFlag.AlignVCenter), name)
            painter.restore()

    def _shown(self, every: int, pointed: int | None) -> list[int]:
        """Numbers of the names that fit without overlap; the one that is pointed at always is among them."""
        shown = range(0, len(self._names), every)
        if pointed is None or pointed in shown:
            return list(shown)
        return [index for index in shown if abs(index - pointed) >= every] + [pointed]

    def _paint_scale(self, painter: QPainter, now: Colors) -> None:
        origin, size = self._geometry()
        width = min(max(int(size * len(self._names)), 120), self.width() - origin.x() - 1)
        top = origin.y() + round(size * len(self._names)) + 2 * GAP
        bar = QRect(origin.x(), top, width, 8)
        for x in range(bar.width()):
            painter.fillRect(bar.x() + x, bar.y(), 1, bar.height(), _color(x / max(bar.width() - 1, 1)))
        painter.setPen(now.dim)
        words = QRect(bar.x(), bar.bottom() + 2, bar.width(), painter.fontMetrics().height())
        painter.drawText(words, int(Qt.AlignmentFlag.AlignLeft), f"{self._low:.1f}")
        painter.drawText(words, int(Qt.AlignmentFlag.AlignRight), f"{self._high:.1f}")
        painter.drawText(words, int(Qt.AlignmentFlag.AlignHCenter), "cosine")
        painter.setPen(now.text if self._cell is not None else now.dim)
        said = self.describe(self._cell) or self.caption
        metrics = painter.fontMetrics()
        left = bar.x() if metrics.horizontalAdvance(said) < self.width() - bar.x() else 4
        room = QRect(left, words.bottom() + GAP, self.width() - left - 2, 2 * metrics.height() + 2)
        painter.drawText(room, int(Qt.AlignmentFlag.AlignLeft) | int(Qt.TextFlag.TextWordWrap), said)

    def _shade(self, value: float) -> QColor:
        return _color((value - self._low) / (self._high - self._low))


def _color(share: float) -> QColor:
    return QColor(*(int(channel) for channel in HEAT[round(255 * min(max(share, 0.0), 1.0))]))


def _ink(shade: QColor) -> QColor:
    """Black or white, whichever reads better on a colour (relative luminance of WCAG 2, section 1.4.3)."""
    channels = (shade.redF(), shade.greenF(), shade.blueF())
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return QColor("#000000") if luminance > 0.179 else QColor("#ffffff")
