"""The log: a line each of what happened, with details on demand; knows no logger and no file."""

from __future__ import annotations

import time
from collections import deque

from PyQt5.QtCore import QEvent, QPoint, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QMouseEvent, QTextCharFormat, QTextCursor
from PyQt5.QtWidgets import QApplication, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from toolbox.state import MAX_LOG_LINES, LogLine, ToolboxState
from toolbox.theme import colors, level_color

MARK = "  (details)"


class LogPanel(QWidget):
    """Time and text of each line, coloured by level, the newest at the bottom."""

    details_requested = pyqtSignal(object)
    """LogLine that has details."""

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: deque[LogLine] = deque(maxlen=MAX_LOG_LINES)
        self._edit = _LogView(self)
        self._edit.setObjectName("log_view")
        self._edit.setAccessibleName("Log")
        self._edit.setMaximumBlockCount(MAX_LOG_LINES)
        self._edit.cursorPositionChanged.connect(self._update_details)
        self._edit.details_asked.connect(self._ask_details)
        self._details = self._button("log_details", "&Details", "Show what is behind the chosen line (Enter)")
        self._copy = self._button("log_copy", "C&opy", "Copy the selected text, or the whole log")
        self._clear = self._button("log_clear", "C&lear", "Empty this view")
        self._details.clicked.connect(lambda: self._ask_details(self._edit.textCursor().blockNumber()))
        self._copy.clicked.connect(self.copy)
        self._clear.clicked.connect(self.clear)
        buttons = QVBoxLayout()
        buttons.setSpacing(4)
        for button in (self._details, self._copy, self._clear):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(6)
        layout.addWidget(self._edit, 1)
        layout.addLayout(buttons)
        for line in state.log:
            self._append(line)
        self._update_details()
        state.log_added.connect(self._append)

    def copy(self) -> None:
        """Put the selected text, or every line with its details, on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is None:
            return
        cursor = self._edit.textCursor()
        if cursor.hasSelection():
            clipboard.setText(cursor.selectedText().replace("\u2029", "\n"))
        else:
            clipboard.setText("\n".join(_as_text(line) for line in self._lines))

    def clear(self) -> None:
        """Empty the view; what the program remembers stays."""
        self._lines.clear()
        self._edit.clear()
        self._update_details()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            lines = list(self._lines)
            self.clear()
            for line in lines:
                self._append(line)

    def _button(self, name: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setToolTip(tip)
        return button

    def _append(self, line: LogLine) -> None:
        bar = self._edit.verticalScrollBar()
        follows = bar is None or bar.value() >= bar.maximum() - 1
        cursor = QTextCursor(self._edit.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        # One block a line: the numbers of blocks and of lines stay the same when the oldest go.
        if self._lines:
            cursor.insertBlock()
        self._lines.append(line)
        dim, main = QTextCharFormat(), QTextCharFormat()
        dim.setForeground(colors(self).dim)
        main.setForeground(level_color(line.level, self))
        cursor.insertText(time.strftime("%H:%M:%S  ", time.localtime(line.when)), dim)
        cursor.insertText(" ".join(line.text.split()), main)
        if line.details:
            cursor.insertText(MARK, dim)
        if follows and bar is not None:
            bar.setValue(bar.maximum())
        self._update_details()

    def _line(self, number: int) -> LogLine | None:
        return self._lines[number] if 0 <= number < len(self._lines) else None

    def _update_details(self) -> None:
        line = self._line(self._edit.textCursor().blockNumber())
        self._details.setEnabled(line is not None and bool(line.details))
        for button in (self._copy, self._clear):
            button.setEnabled(bool(self._lines))

    def _ask_details(self, number: int) -> None:
        line = self._line(number)
        if line is not None and line.details:
            self.details_requested.emit(line)


class _LogView(QPlainTextEdit):
    """Read-only text that tells on which line details were asked for."""

    details_asked = pyqtSignal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setPlaceholderText("What happens is written here.")
        flags = Qt.TextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setTextInteractionFlags(flags | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.setMinimumHeight(40)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        super().mouseDoubleClickEvent(event)
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.details_asked.emit(self.cursorForPosition(event.pos()).blockNumber())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.details_asked.emit(self.textCursor().blockNumber())
            return
        super().keyPressEvent(event)

    def _show_menu(self, where: QPoint) -> None:
        menu = self.createStandardContextMenu()
        if menu is None:
            return
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        number = self.cursorForPosition(where).blockNumber()
        action = menu.addAction("Details…")
        if action is not None:
            action.triggered.connect(lambda: self.details_asked.emit(number))
        menu.popup(self.mapToGlobal(where))


def _as_text(line: LogLine) -> str:
    stamp = time.strftime("%H:%M:%S", time.localtime(line.when))
    details = f"\n{line.details.rstrip()}" if line.details else ""
    return f"{stamp}  {line.level}: {line.text}{details}"
