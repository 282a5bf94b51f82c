"""How near a clone comes to its voice, in a number, in words and on a scale; knows the score, and no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PyQt5.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PyQt5.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from PyQt5.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from toolbox.state import Result
from toolbox.theme import colors, level_color
from toolbox.views.pieces import ElidedLabel
from toolbox.views.plots import small_font

TYPICAL_OWN = 0.85
"""Stands in for the speaker's own spread where there is none: usual among clean clips of one speaker."""
STRANGER = 0.5
"""Two different people often come this near: all values of an embedding are positive."""
RULE = f"1 is the same voice; strangers often reach {STRANGER}."
ADVICE = "A longer or cleaner recording, more clips or another seed may help."


@dataclass(frozen=True)
class Verdict:
    """A score in words."""

    level: str
    """"good", "usable" or "poor"."""
    headline: str
    hint: str = ""
    """What to hold the number against, and what to do when it is low."""
    explanation: str = ""
    """All numbers in sentences."""


def judge_words(score: Any, speaker: str) -> Verdict:
    """The words for a toolbox.projection.CloneScore of a clone of ``speaker``.

    Where the clone stands between strangers (or the nearest other voice, when that is nearer) and the speaker's own
    recordings decides; the number alone says little, because it depends on voice and recording.
    """
    other = score.nearest_other
    own = score.own_spread if score.own_spread is not None else TYPICAL_OWN
    floor = max(STRANGER, other[1]) if other is not None else STRANGER
    share = (score.similarity - floor) / max(own - floor, 0.02)
    if other is not None and score.similarity <= other[1]:
        level, headline = "poor", f"Closer to {other[0]} than to {speaker}"
    elif share <= 0:
        level, headline = "poor", f"Little like {speaker}"
    elif share < 0.5:
        level, headline = "usable", f"Somewhat like {speaker}"
    elif share < 0.85:
        level, headline = "good", f"Close to {speaker}"
    else:
        level, headline = "good", f"Sounds like {speaker}"
    hint = RULE
    parts = [f"The clone compared with recordings of {speaker}: {score.similarity:.2f}.", RULE]
    if score.own_spread is not None:
        hint = f"Strangers often reach {STRANGER}; recordings of {speaker} among each other {score.own_spread:.2f}."
        parts.append(f"Recordings of {speaker} compared with each other reach {score.own_spread:.2f}.")
    if other is not None:
        parts.append(f"The nearest other voice, {other[0]}, is at {other[1]:.2f}.")
    if level != "good":
        hint = f"{hint} {ADVICE}"
        parts.append(ADVICE)
    return Verdict(level, headline, hint, " ".join(parts))


class SimilarityScale(QWidget):
    """A bar from 0 to 1, filled up to the clone, with the nearest other voice and the speaker's own spread on it."""

    PAD, BAR, GAP = 12, 8, 12

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._score: Any = None
        self._level = ""
        self.setObjectName("similarity_scale")
        self.setAccessibleName("Similarity from 0 to 1")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_score(self, score: Any, level: str) -> None:
        """Show a CloneScore (None: an empty bar)."""
        self._score, self._level = score, level
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, 15 + QFontMetrics(small_font(self)).height())

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def labels(self, width: float, metrics: QFontMetrics) -> list[tuple[str, float, float, str]]:
        """(text, left, position of its mark, "other" or "own") of the marks; they neither overlap nor leave the bar."""
        score, marks = self._score, []
        if score is not None and score.nearest_other is not None:
            marks.append((float(score.nearest_other[1]), "other"))
        if score is not None and score.own_spread is not None:
            marks.append((float(score.own_spread), "own"))
        marks.sort()
        texts = self._texts(dict((kind, value) for value, kind in marks), width, metrics)
        at = [self.PAD + (width - 2 * self.PAD) * min(max(value, 0.0), 1.0) for value, _ in marks]
        widths = [float(metrics.horizontalAdvance(texts[kind])) for _, kind in marks]
        lefts = [min(max(x - w / 2, 0.0), max(width - w, 0.0)) for x, w in zip(at, widths, strict=True)]
        if len(lefts) == 2:
            step = widths[0] + self.GAP
            overlap = max(lefts[0] + step - lefts[1], 0.0)
            lefts[0] = max(lefts[0] - overlap / 2, 0.0)
            lefts[1] = min(max(lefts[1] + overlap / 2, lefts[0] + step), width - widths[1])
            lefts[0] = max(min(lefts[0], lefts[1] - step), 0.0)
        return [(texts[kind], left, x, kind) for (_, kind), left, x in zip(marks, lefts, at, strict=True)]

    def _texts(self, values: dict[str, float], width: float, metrics: QFontMetrics) -> dict[str, str]:
        """The words at the marks: the longest of three forms that fit, the other voice's name shortened if need be."""
        name = self._score.nearest_other[0] if "other" in values else ""
        least = metrics.horizontalAdvance("nnnn…")
        texts: dict[str, str] = {}
        for own, before in (("own recordings", "nearest other: "), ("own", "other: "), ("own", "")):
            texts = {"own": f"{own} {values['own']:.2f}"} if "own" in values else {}
            if "other" not in values:
                return texts
            taken = metrics.horizontalAdvance(f"{before} {values['other']:.2f}") + sum(
                metrics.horizontalAdvance(text) + self.GAP for text in texts.values()
            )
            room = int(width) - taken - 2
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, max(room, 0))
            texts["other"] = f"{before}{shown} {values['other']:.2f}"
            if room >= min(least, metrics.horizontalAdvance(name)):
                break
        return texts

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(small_font(self))
        metrics = painter.fontMetrics()
        now = colors(self)
        track = QRectF(self.PAD, 4, self.width() - 2 * self.PAD, self.BAR)
        painter.setPen(now.dim)
        for text, x in (("0", 0.0), ("1", self.width() - self.PAD + 4.0)):
            painter.drawText(QRectF(x, 0, self.PAD, 2 * track.center().y()), int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.setPen(QPen(now.line))
        painter.setBrush(now.base)
        painter.drawRoundedRect(track, 3, 3)
        if self._score is not None:
            color = level_color(self._level, self)
            filled = QRectF(track)
            filled.setWidth(track.width() * min(max(float(self._score.similarity), 0.0), 1.0))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(filled, 3, 3)
            for text, left, x, kind in self.labels(self.width(), metrics):
                self._draw_mark(painter, x, track, now.text if kind == "own" else now.dim)
                painter.setPen(now.text if kind == "own" else now.dim)
                painter.drawText(QPointF(left, self.height() - metrics.descent()), text)
        painter.end()

    def _draw_mark(self, painter: QPainter, x: float, track: QRectF, color: QColor) -> None:
        """A line through the bar on a small triangle that points at it."""
        painter.setPen(QPen(color, 2))
        painter.drawLine(QPointF(x, track.top() - 2), QPointF(x, track.bottom() + 2))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        foot = track.bottom() + 6
        painter.drawPolygon(QPolygonF([QPointF(x, foot - 5), QPointF(x - 4, foot), QPointF(x + 4, foot)]))


class SimilarityBlock(QWidget):
    """The number, what it means, and the scale that it stands on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._level = ""
        self.value = QLabel(self)
        self.value.setObjectName("similarity_value")
        self.value.setAccessibleName("Similarity of the clone to its voice")
        big = self.value.font()
        big.setPointSizeF(2.1 * max(big.pointSizeF(), 8.0))
        big.setBold(True)
        self.value.setFont(big)
        self.value.setMinimumWidth(QFontMetrics(big).horizontalAdvance("0.00"))
        self.value.setAlignment(Qt.Alignment(Qt.AlignmentFlag.AlignHCenter) | Qt.AlignmentFlag.AlignBottom)
        caption = QLabel("similarity", self)
        caption.setProperty("dim", True)
        caption.setFont(small_font(caption))
        caption.setAlignment(Qt.Alignment(Qt.AlignmentFlag.AlignHCenter) | Qt.AlignmentFlag.AlignTop)
        self.headline = ElidedLabel(self)
        self.headline.setObjectName("similarity_words")
        self.headline.setProperty("heading", True)
        self.scale = SimilarityScale(self)
        self.explanation = QLabel(self)
        self.explanation.setObjectName("similarity_explanation")
        self.explanation.setProperty("dim", True)
        self.explanation.setFont(small_font(self.explanation))
        self.explanation.setWordWrap(True)
        self.explanation.setAlignment(Qt.AlignmentFlag.AlignTop)
        left = QVBoxLayout()
        left.setSpacing(0)
        left.addWidget(self.value)
        left.addWidget(caption)
        right = QVBoxLayout()
        right.setSpacing(3)
        right.addWidget(self.headline)
        right.addWidget(self.scale)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(4)
        grid.addLayout(left, 0, 0)
        grid.addLayout(right, 0, 1)
        grid.addWidget(self.explanation, 1, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self.set_result(None)

    def set_result(self, result: Result | None) -> None:
        """Show the score of a result, or why there is none."""
        score = result.score if result is not None else None
        if result is None:
            verdict = Verdict("", "No clone to measure yet", RULE)
        elif score is None and result.embed is None:
            verdict = Verdict("", "Being measured…", RULE)
        elif score is None:
            verdict = Verdict("", "There is no recording to compare it with", RULE)
        else:
            verdict = judge_words(score, result.speaker)
        self._level = verdict.level
        self.value.setText(f"{score.similarity:.2f}" if score is not None else "–")
        self.headline.setText(verdict.headline)
        explanation = verdict.explanation or verdict.hint
        self.headline.setToolTip(f"{verdict.headline}. {explanation}")
        self.explanation.setText(verdict.hint)
        self.scale.set_score(score, verdict.level)
        for widget in (self.value, self.scale):
            widget.setToolTip(explanation)
        self.setAccessibleDescription(f"{self.value.text()}: {verdict.headline}. {explanation}")
        self._color()

    def set_roomy(self, roomy: bool) -> None:
        """Whether the explanation is shown under the scale, or in the tooltips only."""
        self.explanation.setVisible(roomy)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._color()

    def _color(self) -> None:
        color = level_color(self._level, self) if self._level else colors(self).dim
        for label, wanted in ((self.value, color), (self.headline, colors(self).text if self._level else color)):
            palette = label.palette()
            if palette.color(QPalette.ColorRole.WindowText) != wanted:
                palette.setColor(QPalette.ColorRole.WindowText, wanted)
                label.setPalette(palette)
