"""One line that says what the models do, how long it will take and how fast it goes, with a button to stop it."""

from __future__ import annotations

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from toolbox.state import Activity, ToolboxState


class ActivityBar(QWidget):
    """Shows ``state.activity``."""

    cancel_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = QLabel()
        self._title.setObjectName("activity_title")
        self._title.setMinimumWidth(190)
        self._bar = QProgressBar()
        self._bar.setObjectName("activity_progress")
        self._bar.setAccessibleName("Progress")
        self._bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._bar.setFixedHeight(18)
        self._figures = QLabel()
        self._figures.setObjectName("activity_figures")
        self._figures.setProperty("dim", True)
        self._cancel = QPushButton("Cancel")
        self._cancel.setObjectName("activity_cancel")
        self._cancel.setAccessibleName("Cancel what is running")
        self._cancel.setToolTip("Stop what is running (Esc)")
        self._cancel.clicked.connect(lambda: self.cancel_requested.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 2)
        layout.setSpacing(8)
        for widget in (self._title, self._bar, self._figures, self._cancel):
            layout.addWidget(widget)
        layout.setStretch(1, 1)
        state.activity_changed.connect(self._show)
        self._show(state.activity)

    def _show(self, activity: Activity | None) -> None:
        self._cancel.setEnabled(activity is not None)
        if activity is None:
            self._bar.setRange(0, 1000)
            self._bar.setValue(0)
            self._bar.setTextVisible(False)
            self._figures.setText("")
            self._title.setText("Nothing is running")
            self._title.setProperty("dim", True)
            self._restyle()
            return
        if self._title.property("dim"):
            self._title.setProperty("dim", False)
            self._restyle()
        waiting = f" (and {activity.waiting} more)" if activity.waiting else ""
        self._title.setText(activity.title + waiting)
        self._bar.setTextVisible(activity.total > 0)
        if activity.total > 0:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(1000 * activity.done / activity.total))
        else:
            self._bar.setRange(0, 0)
        self._figures.setText(figures(activity))

    def _restyle(self) -> None:
        style = self._title.style()
        if style is not None:
            style.unpolish(self._title)
            style.polish(self._title)


def figures(activity: Activity) -> str:
    """Time left and speed in words: "12 s left · 0.8 x real time"."""
    parts = []
    if activity.seconds_left is not None:
        seconds = max(1, round(activity.seconds_left))
        parts.append(f"{seconds} s left" if seconds < 90 else f"{round(seconds / 60)} min left")
    if activity.rate is not None:
        parts.append(f"{activity.rate:.2f} x real time" if activity.rate < 10 else f"{activity.rate:.0f} x real time")
    return " · ".join(parts)
