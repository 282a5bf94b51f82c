"""Icons drawn in the colours of the palette, and buttons that carry only such an icon."""

from __future__ import annotations

from PyQt5.QtCore import QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QIcon, QPainter, QPalette, QPixmap, QPolygonF
from PyQt5.QtWidgets import QToolButton, QWidget

from toolbox.theme import colors

ICON = 16
"""Logical pixels."""


def icon(name: str, widget: QWidget) -> QIcon:
    """The icon "play", "stop", "record", "refresh" or "dice" in a widget's colours; made again when those change."""
    made = QIcon()
    palette = widget.palette()
    groups = {QIcon.Mode.Normal: QPalette.ColorGroup.Active, QIcon.Mode.Disabled: QPalette.ColorGroup.Disabled}
    for mode, group in groups.items():
        color = palette.color(group, QPalette.ColorRole.ButtonText)
        if name == "record" and mode == QIcon.Mode.Normal:
            color = colors(widget).bad
        ratio = max(widget.devicePixelRatioF(), 1.0)
        pixmap = QPixmap(round(ICON * ratio), round(ICON * ratio))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = painter.pen()
        pen.setColor(color)
        pen.setWidthF(1.6)
        painter.setPen(pen)
        _draw(name, painter)
        painter.end()
        made.addPixmap(pixmap, mode)
    return made


def _draw(name: str, painter: QPainter) -> None:
    """A shape on a square of 16 in the painter's pen."""
    color = painter.pen().color()
    if name == "refresh":
        painter.drawArc(QRectF(3, 3, 10, 10), 60 * 16, 290 * 16)
        painter.setBrush(color)
        painter.drawPolygon(QPolygonF([QPointF(9.2, 1.6), QPointF(9.2, 5.4), QPointF(12.2, 3.4)]))
        return
    if name == "dice":
        painter.drawRoundedRect(QRectF(2.5, 2.5, 11, 11), 2.5, 2.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    if name == "play":
        painter.drawPolygon(QPolygonF([QPointF(4, 2.5), QPointF(4, 13.5), QPointF(13.5, 8)]))
    elif name == "stop":
        painter.drawRect(QRectF(3.5, 3.5, 9, 9))
    elif name == "record":
        painter.drawEllipse(QPointF(8, 8), 5, 5)
    elif name == "dice":
        for x, y in ((5.5, 5.5), (10.5, 5.5), (8, 8), (5.5, 10.5), (10.5, 10.5)):
            painter.drawEllipse(QPointF(x, y), 1.1, 1.1)


def icon_button(name: str, words: str, object_name: str, parent: QWidget) -> QToolButton:
    """A button with an icon only; its words are the tooltip and what a screen reader says."""
    button = QToolButton(parent)
    button.setObjectName(object_name)
    button.setIconSize(QSize(ICON, ICON))
    button.setIcon(icon(name, parent))
    button.setToolTip(words)
    button.setAccessibleName(words)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button
