"""Pieces that several panels use: words and boxes that give way, and the list of sentences that failed."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt5.QtCore import QSignalBlocker, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QPainter, QPaintEvent
from PyQt5.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from toolbox.state import SegmentInfo
from toolbox.theme import colors

BUSY = "Another job is at work"


def first_words(text: str, most: int = 40) -> str:
    """The first words of a text, in quotation marks."""
    text = " ".join(text.split())
    if len(text) > most:
        text = text[: most + 1].rsplit(" ", 1)[0][:most].rstrip(" ,;:.") + "…"
    return f"“{text}”"


def counted(count: int, noun: str) -> str:
    """A number and its noun: "1 clip", "3 clips"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def enable(button: QAbstractButton, tip: str, problem: str) -> None:
    """Enable a button unless there is a problem, which its tooltip then says."""
    button.setEnabled(not problem)
    button.setToolTip(f"{tip}\n{problem}." if problem else tip)


def fill(combo: QComboBox, names: Sequence[str], current: str, details: Sequence[str], empty: str) -> None:
    """Names in a combo box with their tooltips; disabled with a word when there are none."""
    with QSignalBlocker(combo):
        combo.clear()
        combo.addItems(list(names) or [empty])
        for row, tip in enumerate(details):
            combo.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        combo.setCurrentIndex(combo.findText(current) if names and current in names else 0 if not names else -1)
    combo.setEnabled(bool(names))
    tip = combo.itemData(combo.currentIndex(), Qt.ItemDataRole.ToolTipRole) if combo.currentIndex() >= 0 else ""
    combo.setToolTip(f"{combo.accessibleName()}: {combo.currentText()}" + (f"\n{tip}" if tip else ""))


class ElidedLabel(QLabel):
    """A label that gives way: what does not fit ends in "…" and stands in the tooltip."""

    def minimumSizeHint(self) -> QSize:
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        area = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, area.width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(area, int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()

    def setText(self, text: str | None) -> None:
        super().setText(text)
        self.setToolTip(text or "")


class ElidedComboBox(QComboBox):
    """A combo box that may become narrow: the current text then ends in "…"."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.setMinimumWidth(64)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        if style is not None:
            field = QStyle.SubControl.SC_ComboBoxEditField
            area = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self)
            option.currentText = self.fontMetrics().elidedText(
                option.currentText, Qt.TextElideMode.ElideRight, area.width() - 2
            )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


class FailedSegments(QScrollArea):
    """A row for each sentence whose alignment failed, with a button that says it again; no room when none failed."""

    retry_requested = pyqtSignal(int)
    """Number of the segment."""

    ROWS = 2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("failed_segments")
        self.setAccessibleName("Sentences that failed")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self._buttons: list[QPushButton] = []
        self.setVisible(False)

    def set_segments(self, segments: Sequence[SegmentInfo], enabled: bool) -> None:
        """Show those of the segments that are not ok."""
        box = QWidget()
        rows = QVBoxLayout(box)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        self._buttons = []
        for index, segment in enumerate(segments):
            if not segment.ok:
                rows.addLayout(self._row(index, segment))
        self.setWidget(box)
        self.set_enabled(enabled)
        self.setVisible(bool(self._buttons))
        self.updateGeometry()

    def set_enabled(self, enabled: bool) -> None:
        """Whether a sentence can be said again now."""
        for button in self._buttons:
            button.setEnabled(enabled)
            button.setToolTip("Say this sentence again with another seed; the others stay" if enabled else BUSY)

    def sizeHint(self) -> QSize:
        rows = min(len(self._buttons), self.ROWS)
        height = self._buttons[0].sizeHint().height() if self._buttons else 0
        return QSize(200, rows * height + max(0, rows - 1) * 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(100, self._buttons[0].sizeHint().height() if self._buttons else 0)

    def _row(self, index: int, segment: SegmentInfo) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        mark = QLabel("⚠")
        palette = mark.palette()
        palette.setColor(mark.foregroundRole(), colors(self).bad)
        mark.setPalette(palette)
        what = ", ".join(segment.warnings) or "may have failed"
        words = ElidedLabel(f"{what[:1].upper()}{what[1:]}: {first_words(segment.text, 80)}")
        words.setToolTip(f"{segment.text}\n{what}")
        button = QPushButton("Say again")
        button.setObjectName(f"say_again_{index}")
        button.setAccessibleName(f"Say again: {segment.text}")
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.retry_requested.emit(index))
        self._buttons.append(button)
        row.addWidget(mark)
        row.addWidget(words, 1)
        row.addWidget(button)
        return row
