"""A wav as an envelope, with playhead and selection; knows samples, and neither state nor devices."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import QEvent, QPointF, QRect, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPen
from PyQt5.QtWidgets import QWidget

from toolbox.theme import Colors, colors
from toolbox.views.canvas import Plot, envelope, image_of, reduce_columns

KEY_STEP = 0.05
"""Seconds that an arrow key moves an edge of the selection."""
DRAG_PIXELS = 4
"""Less is a click."""
GRAB_PIXELS = 5
BLOCK = 256
"""Samples summarised at once: 1,000 s are then 62,500 pairs, and a new width costs less than a millisecond."""


class WaveformView(Plot):
    """A wav with playhead and selection: drag selects, an edge can be dragged, a click asks to play from there."""

    selection_changed = pyqtSignal(object)
    """(start, end) in seconds, or None."""
    seek_requested = pyqtSignal(float)
    """Seconds."""

    def __init__(
        self, parent: QWidget | None = None, empty_text: str = "No sound yet", selectable: bool = True
    ) -> None:
        super().__init__(parent, empty_text)
        self._wav: np.ndarray | None = None
        self._blocks: tuple[np.ndarray, np.ndarray] | None = None
        self._sample_rate = 16000
        self._position: float | None = None
        self._selection: tuple[float, float] | None = None
        self._selected_picture: QImage | None = None
        self._pressed: int | None = None
        self._anchor: float | None = None
        self.selectable = selectable
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if selectable else Qt.FocusPolicy.NoFocus)
        self.setMouseTracking(selectable)

    @property
    def duration(self) -> float:
        """Seconds."""
        return 0.0 if self._wav is None else len(self._wav) / self._sample_rate

    @property
    def selection(self) -> tuple[float, float] | None:
        """(start, end) in seconds."""
        return self._selection

    def is_empty(self) -> bool:
        return self._wav is None or len(self._wav) == 0

    def set_wav(self, wav: np.ndarray | None, sample_rate: int = 16000) -> None:
        """Show a wav (S,); the selection stays when it is the same array."""
        if wav is self._wav and sample_rate == self._sample_rate:
            return
        self._wav, self._sample_rate, self._position = wav, sample_rate, None
        self._pressed = self._anchor = None
        self._blocks = None
        if wav is not None and len(wav) > 16 * BLOCK:
            self._blocks = envelope(wav, len(wav) // BLOCK)
        self._select(None)
        self._redraw()

    def set_position(self, seconds: float | None) -> None:
        """Move the playhead; None hides it."""
        if seconds != self._position:
            before, self._position = self._position, seconds
            self._update_columns(*(None if at is None else self._x(at) for at in (before, seconds)))

    def clear_selection(self) -> None:
        """Select nothing."""
        self._select(None)

    def set_selection(self, start: float, end: float) -> None:
        """Select seconds in either order; what is shorter than 10 ms selects nothing."""
        start, end = (min(max(0.0, at), self.duration) for at in sorted((start, end)))
        self._select((start, end) if end - start >= 0.01 else None)

    def _select(self, selection: tuple[float, float] | None) -> None:
        if selection != self._selection:
            self._selection = selection
            self.update()
            self.selection_changed.emit(selection)

    def _x(self, seconds: float) -> float:
        area = self.area()
        return area.left() + area.width() * min(max(seconds / max(self.duration, 1e-9), 0.0), 1.0)

    def _seconds(self, x: float) -> float:
        area = self.area()
        return self.duration * min(max((x - area.left()) / max(area.width(), 1), 0.0), 1.0)

    def _render(self, width: int, height: int) -> QImage:
        assert self._wav is not None
        if self._blocks is not None and width <= len(self._blocks[0]):
            low = reduce_columns(self._blocks[0], width, np.minimum)
            high = reduce_columns(self._blocks[1], width, np.maximum)
        else:
            low, high = envelope(self._wav, width)
        low, high = np.nan_to_num(low), np.nan_to_num(high)
        # Quiet clips are shown larger, up to tenfold; how loud they are is said in words elsewhere.
        peak = max(float(-low.min()), float(high.max()), 0.1)
        rows = np.arange(height)[:, None]
        top = (0.5 - 0.47 * high / peak) * height
        bottom = (0.5 - 0.47 * low / peak) * height
        inside = (rows >= np.floor(top)) & (rows <= np.maximum(np.ceil(bottom) - 1, np.floor(top)))
        now = colors(self)
        pictures = [image_of(np.where(inside, np.uint32(color.rgba()), np.uint32(0)))
                    for color in (now.wave, now.wave_selected)]
        self._selected_picture = pictures[1]
        return pictures[0]

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        picture = self._rendered(area)
        painter.drawImage(QRectF(area), picture)
        if self._selection is not None and self._selected_picture is not None:
            start, end = self._x(self._selection[0]), self._x(self._selection[1])
            chosen = QRectF(start, area.top(), end - start, area.height())
            back = QColor(now.accent)
            back.setAlpha(60)
            painter.fillRect(chosen, back)
            painter.save()
            painter.setClipRect(chosen)
            painter.drawImage(QRectF(area), self._selected_picture)
            painter.restore()
            painter.setPen(now.accent)
            for x in (start, end):
                painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if self._position is not None:
            painter.setPen(QPen(now.playhead, 2))
            x = self._x(self._position)
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if self._selection is not None:
            self._draw_label(painter, area, now, "{:.2f} to {:.2f} s".format(*self._selection))

    def _draw_label(self, painter: QPainter, area: QRect, now: Colors, words: str) -> None:
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
        box = painter.boundingRect(QRectF(area.adjusted(4, 1, -4, -1)), int(flags), words)
        back = QColor(now.base)
        back.setAlpha(190)
        painter.fillRect(box.adjusted(-2, 0, 2, 0), back)
        painter.setPen(now.dim)
        painter.drawText(box, int(flags), words)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is None or self.is_empty() or event.button() != Qt.MouseButton.LeftButton:
            return super().mousePressEvent(event)
        self._pressed = event.x()
        self._anchor = self._opposite_edge(event.x())
        return None

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is None or not self.selectable or self.is_empty():
            return
        if self._pressed is None:
            at_edge = self._opposite_edge(event.x()) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if at_edge else Qt.CursorShape.ArrowCursor)
        elif self._anchor is not None or abs(event.x() - self._pressed) >= DRAG_PIXELS:
            if self._anchor is None:
                self._anchor = self._seconds(self._pressed)
            self.set_selection(self._anchor, self._seconds(event.x()))

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        if event is None or self._pressed is None:
            return
        clicked, self._pressed, self._anchor = self._anchor is None, None, None
        if clicked and self._selection is not None:
            self._select(None)
        elif clicked:
            self.seek_requested.emit(self._seconds(event.x()))

    def _opposite_edge(self, x: int) -> float | None:
        """The edge that stays when the one under the mouse is dragged."""
        if self._selection is None or not self.selectable:
            return None
        distances = [abs(self._x(edge) - x) for edge in self._selection]
        nearest = int(distances[1] < distances[0])
        return self._selection[1 - nearest] if distances[nearest] <= GRAB_PIXELS else None

    def event(self, event: QEvent | None) -> bool:
        # Esc cancels the work elsewhere in the window, unless there is a selection to be given up here.
        if (event is not None and event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent)
                and event.key() == Qt.Key.Key_Escape and self._selection is not None):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Left and Right move the start of the selection, with Shift its end; Esc clears it."""
        if event is None:
            return
        if event.key() == Qt.Key.Key_Escape and self._selection is not None:
            self._select(None)
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self.selectable and not self.is_empty():
            step = KEY_STEP if event.key() == Qt.Key.Key_Right else -KEY_STEP
            start, end = self._selection or (0.0, self.duration)
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                end = max(min(end + step, self.duration), min(start + KEY_STEP, self.duration))
            else:
                start = min(max(start + step, 0.0), max(end - KEY_STEP, 0.0))
            self.set_selection(start, end)
        else:
            super().keyPressEvent(event)
