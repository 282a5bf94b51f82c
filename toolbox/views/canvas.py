"""What plots share: heat maps, envelopes, and a framed area whose picture is rendered once a size; or words in it."""

from __future__ import annotations

import numpy as np
from PyQt5.QtCore import QEvent, QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent
from PyQt5.QtWidgets import QAbstractItemView, QSizePolicy, QWidget

from toolbox.theme import HEAT, Colors, colors


def heat_map(values: np.ndarray, low: float, high: float) -> QImage:
    """An image of (H, W) values, row 0 at the top; what is not finite gets the lowest colour."""
    values = np.asarray(values, dtype=np.float32)
    scale = 255.0 / max(float(high) - float(low), 1e-12)
    index = np.clip(np.nan_to_num((values - low) * scale, nan=0.0, posinf=255.0, neginf=0.0), 0, 255).astype(np.uint8)
    heat = HEAT.astype(np.uint32)
    table = np.uint32(0xFF000000) | heat[:, 0] << 16 | heat[:, 1] << 8 | heat[:, 2]
    return image_of(table.astype(np.uint32)[index])


def envelope(wav: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample (columns,) of each column of a wav (S,)."""
    return reduce_columns(wav, columns, np.minimum), reduce_columns(wav, columns, np.maximum)


def reduce_columns(values: np.ndarray, columns: int, how: np.ufunc) -> np.ndarray:
    """The last axis of values in `columns` groups; an empty group repeats its left neighbour's value."""
    edges = np.minimum(np.arange(columns) * values.shape[-1] // columns, values.shape[-1] - 1)
    return how.reduceat(values, edges, axis=-1)


def image_of(pixels: np.ndarray) -> QImage:
    """An image that owns its memory from (H, W) uint32 colours 0xAARRGGBB, premultiplied."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied).copy()


def narrowed(values: np.ndarray, columns: int) -> np.ndarray:
    """(H, W) with at most that many columns, by means: an image wider than 32,767 cannot be painted."""
    width = values.shape[1]
    if width <= columns:
        return values
    edges = np.arange(columns) * width // columns
    return np.add.reduceat(values, edges, axis=1) / np.diff(np.append(edges, width))


def small_font(widget: QWidget) -> QFont:
    """The widget's font at 8 points or a fifth smaller, whichever is more."""
    font = QFont(widget.font())
    font.setPointSizeF(max(8.0, 0.8 * font.pointSizeF()))
    return font


def value_range(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The expected range where the values keep to it (5 % more is forgiven), their own otherwise."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return low, high
    least, most = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low)
    return (low, high) if low - margin <= least and most <= high + margin else (least, most)


def scaled(image: QImage, width: int, height: int, smooth: bool = True) -> QImage:
    mode = Qt.TransformationMode.SmoothTransformation if smooth else Qt.TransformationMode.FastTransformation
    return image.scaled(width, height, Qt.AspectRatioMode.IgnoreAspectRatio, mode)


class Plot(QWidget):
    """A framed area with a picture that is rendered once a size, or words when there is nothing to draw."""

    def __init__(self, parent: QWidget | None = None, empty_text: str = "", least: QSize | None = None) -> None:
        super().__init__(parent)
        self._empty_text = empty_text
        self._least = least or QSize(80, 48)
        self._picture: QImage | None = None
        self._picture_key: tuple[int, int] = (0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def empty_text(self) -> str:
        """Shown in place of a picture."""
        return self._empty_text

    @empty_text.setter
    def empty_text(self, text: str) -> None:
        if text != self._empty_text:
            self._empty_text = text
            self.update()

    def minimumSizeHint(self) -> QSize:
        return self._least

    def sizeHint(self) -> QSize:
        return QSize(max(200, self._least.width()), max(72, self._least.height()))

    def area(self) -> QRect:
        """Inside the frame, in logical pixels."""
        return self.rect().adjusted(1, 1, -1, -1)

    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return True

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._redraw()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        now = colors(self)
        area = self.area()
        painter.fillRect(self.rect(), now.base)
        painter.setFont(small_font(self))
        if self.is_empty() or area.width() < 2 or area.height() < 2:
            painter.setPen(now.dim)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(area.adjusted(6, 2, -6, -2), flags, self._empty_text)
        else:
            self._draw(painter, area, now)
        painter.setPen(now.accent if self.hasFocus() else now.line)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw(self, painter: QPainter, area: QRect, now: Colors) -> None:
        painter.drawImage(QRectF(area), self._rendered(area))

    def _rendered(self, area: QRect) -> QImage:
        ratio = self.devicePixelRatioF()
        key = max(1, round(area.width() * ratio)), max(1, round(area.height() * ratio))
        if self._picture is None or self._picture_key != key:
            self._picture, self._picture_key = self._render(*key), key
        return self._picture

    def _render(self, width: int, height: int) -> QImage:
        """The picture in device pixels."""
        raise NotImplementedError

    def _redraw(self) -> None:
        self._picture = None
        self.update()

    def _update_columns(self, *xs: float | None) -> None:
        for x in xs:
            if x is not None:
                self.update(QRect(int(x) - 3, 0, 7, self.height()))


def draw_empty_text(view: QAbstractItemView, text: str) -> None:
    """Write words in the middle of a list's or tree's viewport; to be called in its paintEvent."""
    viewport = view.viewport()
    if viewport is None or not text:
        return
    painter = QPainter(viewport)
    painter.setPen(colors(view).dim)
    flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
    painter.drawText(viewport.rect().adjusted(10, 4, -10, -4), flags, text)
    painter.end()


def tint(widget: QWidget, color: QColor) -> None:
    """Write a widget's words in a colour."""
    palette = widget.palette()
    if palette.color(widget.foregroundRole()) != color:
        palette.setColor(widget.foregroundRole(), color)
        widget.setPalette(palette)
