"""A square table of numbers between names as a heat map; knows an array and its names only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PyQt5.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QHelpEvent, QImage, QPainter
from PyQt5.QtWidgets import QToolTip, QWidget

from toolbox.theme import HEAT, Colors
from toolbox.views.canvas import Plot, heat_map, scaled

NUMBER_PIXELS = 26
"""Cells at least this wide hold their number."""
LARGEST_CELL = 72


class MatrixView(Plot):
    """Names at the left and at the top, a coloured cell for each pair; hovering says the pair and its number."""

    def __init__(self, parent: QWidget | None = None, empty_text: str = "Nothing to compare yet") -> None:
        super().__init__(parent, empty_text, QSize(120, 120))
        self._names: tuple[str, ...] = ()
        self._matrix = np.zeros((0, 0), dtype=np.float32)

    def is_empty(self) -> bool:
        return not self._names

    def set_matrix(self, names: Sequence[str], matrix: np.ndarray) -> None:
        """Show (N, N) numbers between N names; NaN is a cell without a number."""
        matrix = np.asarray(matrix, dtype=np.float32)
        if matrix.shape != (len(names), len(names)):
            raise ValueError(f"{len(names)} names need a matrix ({len(names)}, {len(names)}), not {matrix.shape}")
        self._names, self._matrix = tuple(names), matrix
        self._redraw()

    def value_range(self) -> tuple[float, float]:
        """Numbers of the lowest and the highest colour."""
        finite = self._matrix[np.isfinite(self._matrix)]
        if finite.size == 0:
            return 0.0, 1.0
        low, high = float(np.floor(finite.min() * 10) / 10), max(1.0, float(finite.max()))
        return min(low, high - 0.1), high

    def grid(self) -> QRect:
        """Where the cells are, in logical pixels."""
        area = self.area()
        metrics = self.fontMetrics()
        widest = max((metrics.horizontalAdvance(name) for name in self._names), default=0) + 8
        left = min(widest, area.width() * 3 // 10)
        top = min(widest, area.height() * 3 // 10)
        bottom = metrics.height() + 6
        room = min(area.width() - left - 6, area.height() - top - bottom)
        cell = min(max(room / max(len(self._names), 1), 1.0), LARGEST_CELL)
        side = max(1, int(cell * len(self._names)))
        spare = max(0, area.width() - left - 6 - side) // 2, max(0, area.height() - top - bottom - side) // 2
        return QRect(area.left() + left + spare[0], area.top() + top + spare[1], side, side)

    def cell_at(self, position: QPoint) -> tuple[int, int] | None:
        """(row, column) under a point of the widget."""
        grid = self.grid()
        if self.is_empty() or not grid.contains(position):
            return None
        count = len(self._names)
        row = (position.y() - grid.top()) * count // grid.height()
        column = (position.x() - grid.left()) * count // grid.width()
        return row, column

    def words_at(self, row: int, column: int) -> str:
        """What hovering over a cell says."""
        value = float(self._matrix[row, column])
        number = f"{value:.2f}" if np.isfinite(value) else "one utterance only"
        if row == column:
            return f"{self._names[row]}, own utterances: {number}"
        return f"{self._names[row]} / {self._names[column]}: {number}"

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            cell = self.cell_at(event.pos())
            if cell is None:
                QToolTip.hideText()
                event.ignore()
            else:
                QToolTip.showText(event.globalPos(), self.words_at(*cell), self)
            return True
        return super().event(event)

    def _render(self, width: int, height: int) -> QImage:
        low, high = self.value_range()
        return scaled(heat_map(self._matrix, low, high), width, height, smooth=False)

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        grid = self.grid()
        count = len(self._names)
        cell = grid.width() / count
        painter.drawImage(QRectF(grid), self._rendered(grid))
        self._draw_numbers(painter, grid, cell, now)
        painter.setPen(now.text)
        metrics = painter.fontMetrics()
        # Names closer together than their height would overlap: then only every second, third, ... is written.
        every = max(1, int(np.ceil(metrics.height() / max(cell, 1e-6))))
        room = grid.left() - area.left() - 6, grid.top() - area.top() - 6
        for index in range(0, count, every):
            middle = (index + 0.5) * cell
            row = QRectF(area.left() + 2, grid.top() + middle - metrics.height() / 2, room[0], metrics.height())
            right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            painter.drawText(row, right, metrics.elidedText(self._names[index], Qt.TextElideMode.ElideRight, room[0]))
            painter.save()
            painter.translate(grid.left() + middle, grid.top() - 4)
            painter.rotate(-90)
            column = QRectF(0, -metrics.height() / 2, room[1], metrics.height())
            left = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            painter.drawText(column, left, metrics.elidedText(self._names[index], Qt.TextElideMode.ElideRight, room[1]))
            painter.restore()
        self._draw_scale(painter, area, grid, now)

    def _draw_numbers(self, painter: QPainter, grid: QRect, cell: float, now: Colors) -> None:
        low, high = self.value_range()
        shown = np.argwhere(np.ones_like(self._matrix) if cell >= NUMBER_PIXELS else ~np.isfinite(self._matrix))
        for row, column in shown.tolist():
            value = float(self._matrix[row, column])
            box = QRectF(grid.left() + column * cell, grid.top() + row * cell, cell, cell)
            if not np.isfinite(value):
                painter.fillRect(box.adjusted(0.5, 0.5, -0.5, -0.5), now.panel)
            if cell < NUMBER_PIXELS:
                continue
            if np.isfinite(value):
                shade = HEAT[int(np.clip((value - low) / max(high - low, 1e-9) * 255, 0, 255))]
                dark = float(shade @ np.array([0.299, 0.587, 0.114])) < 140
                painter.setPen(QColor(255, 255, 255) if dark else QColor(0, 0, 0))
            else:
                painter.setPen(now.dim)
            words = f"{value:.2f}".replace("0.", ".", 1) if cell < 32 else f"{value:.2f}"
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), words if np.isfinite(value) else "–")

    def _draw_scale(self, painter: QPainter, area: QRect, grid: QRect, now: Colors) -> None:
        low, high = self.value_range()
        metrics = painter.fontMetrics()
        words = f"{low:.1f} ", f" {high:.1f}"
        bar = min(grid.width(), 120)
        top = min(grid.bottom() + 5, area.bottom() - metrics.height())
        left = grid.left() + metrics.horizontalAdvance(words[0])
        strip = QRectF(left, top + metrics.height() * 0.25, bar, metrics.height() * 0.5)
        painter.drawImage(strip, heat_map(np.linspace(0, 1, 128)[None], 0, 1))
        painter.setPen(now.dim)
        for x, word in zip((grid.left(), int(strip.right())), words, strict=True):
            painter.drawText(QRect(x, top, 80, metrics.height()), int(Qt.AlignmentFlag.AlignLeft), word)
