"""The window's dialogs: errors, questions and information; they know words only, and neither state nor files."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QKeySequence, QTextCharFormat, QTextCursor
from PyQt5.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStyle,
    QVBoxLayout,
    QWidget,
)

import toolbox
from toolbox.theme import colors

PROGRAM = "Voice cloning toolbox"
QUIET_SECONDS = 2.0
"""An error that comes again so soon after it was shown is not shown again."""
MOST_LISTED = 4
LONGEST = 400
"""Characters of a sentence shown in a dialog; the rest is in its details."""
_LAST_ERROR = "last_error_shown"


class ErrorDialog(QDialog):
    """One or several errors in sentences, with details on demand."""

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName("error_dialog")
        self.setWindowTitle(f"{PROGRAM}: something went wrong")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._errors: list[tuple[str, str, str]] = []
        sign = QLabel()
        sign.setAlignment(Qt.AlignmentFlag.AlignTop)
        sign.setPixmap(_sign(self, QStyle.StandardPixmap.SP_MessageBoxWarning))
        self._text = _words("error_text", selectable=True)
        self._advice = _words("error_advice", selectable=True)
        self._advice.setProperty("dim", True)
        self._details = QPlainTextEdit()
        self._details.setObjectName("error_details")
        self._details.setAccessibleName("Details")
        self._details.setReadOnly(True)
        self._details.setFont(_fixed_font())
        self._details.setMinimumHeight(140)
        self._details.hide()
        self._more = QPushButton("&Details")
        self._more.setObjectName("error_more")
        self._more.setCheckable(True)
        self._more.toggled.connect(self._show_details)
        copy = QPushButton("&Copy")
        copy.setObjectName("error_copy")
        copy.setToolTip("Copy the message with its details")
        copy.clicked.connect(lambda: _copy(self.report()))
        close = QPushButton("C&lose")
        close.setObjectName("error_close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        words = QVBoxLayout()
        words.addWidget(self._text)
        words.addWidget(self._advice)
        words.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(sign)
        top.addLayout(words, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self._more)
        buttons.addWidget(copy)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(12)
        layout.addLayout(top)
        layout.addWidget(self._details, 1)
        layout.addLayout(buttons)
        self.setMinimumWidth(440)
        close.setFocus()

    def add(self, text: str, details: str = "", advice: str = "") -> None:
        """Say one more thing; what is said already is not said again."""
        if (text, details, advice) in self._errors:
            return
        self._errors.append((text, details, advice))
        said = list(dict.fromkeys(text for text, _, _ in self._errors))
        shown = [_shortened(sentence) for sentence in said[:MOST_LISTED]]
        more = [f"… and {len(said) - MOST_LISTED} more: see the details."] if len(said) > MOST_LISTED else []
        self._text.setText("\n\n".join(shown + more))
        advices = "\n".join(dict.fromkeys(advice for _, _, advice in self._errors if advice))
        self._advice.setText(advices)
        self._advice.setVisible(bool(advices))
        self._more.setEnabled(any(details for _, details, _ in self._errors) or bool(more) or shown != said)
        self._details.setPlainText(self.report())
        self._fit()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is said."""
        return tuple(text for text, _, _ in self._errors)

    def report(self) -> str:
        """Everything in one text."""
        return "\n\n".join("\n".join(part for part in (t, a, d) if part) for t, d, a in self._errors)

    def _show_details(self, shown: bool) -> None:
        self._details.setVisible(shown)
        self._fit()

    def _fit(self) -> None:
        """As high as the words need at this width."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            width = max(self.width() if self.isVisible() else 0, 560 if self._details.isVisible() else 440)
            self.resize(width, layout.totalHeightForWidth(width))


def show_error(parent: QWidget | None, text: str, details: str = "", advice: str = "") -> ErrorDialog | None:
    """Say what went wrong, and return at once; None when the same was shown within ``QUIET_SECONDS``.

    An error that comes while another is on screen is added to it, so that fifty bad files are one dialog.
    """
    window = parent.window() if parent is not None else None
    home = window if window is not None else QApplication.instance()
    now, last = time.monotonic(), home.property(_LAST_ERROR) if home is not None else None
    dialog = _open_error(window)
    repeated = isinstance(last, tuple) and last[0] == text and now - last[1] < QUIET_SECONDS
    if dialog is None and repeated:
        return None
    if home is not None:
        home.setProperty(_LAST_ERROR, (text, now))
    if dialog is None:
        dialog = ErrorDialog(window)
        dialog.add(text, details, advice)
        dialog.open()
    else:
        dialog.add(text, details, advice)
        dialog.raise_()
    return dialog


def _open_error(window: QWidget | None) -> ErrorDialog | None:
    found = window.findChildren(ErrorDialog) if window is not None else [
        widget for widget in QApplication.topLevelWidgets() if isinstance(widget, ErrorDialog)
    ]
    return next((dialog for dialog in found if dialog.isVisible()), None)


def ask_unsaved(parent: QWidget | None, names: Sequence[str]) -> str:
    """Ask what becomes of results that were not exported: "save" (all, to a folder), "discard" or "cancel"."""
    one = len(names) == 1
    box = _question(
        parent, "ask_unsaved", "One result has not been exported." if one else
        f"{len(names)} results have not been exported.", _listed(names),
    )
    save = box.addButton("&Export…" if one else "&Export all…", QMessageBox.ButtonRole.AcceptRole)
    discard = box.addButton("&Discard", QMessageBox.ButtonRole.DestructiveRole)
    cancel = box.addButton("&Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(save)
    box.setEscapeButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return "save" if clicked is save else "discard" if clicked is discard else "cancel"


def ask_recover(parent: QWidget | None, summary: str) -> bool:
    """Ask whether the session that a crash left is to be taken up."""
    question = "The toolbox did not close properly last time. Take up where it was?"
    box = _question(parent, "ask_recover", question, summary)
    yes = box.addButton("&Recover", QMessageBox.ButtonRole.AcceptRole)
    no = box.addButton("&Start afresh", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(yes)
    box.setEscapeButton(no)
    box.exec()
    recovered = box.clickedButton() is yes
    box.deleteLater()
    return recovered


def confirm(parent: QWidget | None, text: str, action: str, confirmed: Callable[[], object]) -> QMessageBox:
    """Ask before something that cannot be undone; calls ``confirmed`` on yes, and returns at once."""
    box = _question(parent, "confirm", text, "")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    yes = box.addButton(action, QMessageBox.ButtonRole.AcceptRole)
    if yes is not None:
        yes.setObjectName("confirm_yes")
    no = box.addButton("&Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(no)
    box.setEscapeButton(no)

    def clicked(button: QAbstractButton) -> None:
        if button is yes:
            confirmed()

    box.buttonClicked.connect(clicked)
    box.open()
    return box


class RenameDialog(QDialog):
    """A line to change a name in; an empty one cannot be chosen."""

    def __init__(self, parent: QWidget | None, title: str, label: str, text: str) -> None:
        super().__init__(parent)
        self.setObjectName("rename_dialog")
        self.setWindowTitle(title)
        self._line = QLineEdit(text)
        self._line.setObjectName("rename_text")
        self._line.setMaxLength(80)
        self._line.selectAll()
        words = QLabel(label)
        words.setBuddy(self._line)
        buttons = QDialogButtonBox(self)
        self._ok = buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._line.textChanged.connect(self._check)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.addWidget(words)
        layout.addWidget(self._line)
        layout.addWidget(buttons)
        self.setMinimumWidth(320)
        self._check(text)

    @property
    def text(self) -> str:
        """The name, without spaces around it."""
        return " ".join(self._line.text().split())

    def _check(self, _: str) -> None:
        if self._ok is not None:
            self._ok.setEnabled(bool(self.text))


def rename(parent: QWidget | None, title: str, label: str, text: str) -> str | None:
    """Ask for a new name; None when it was cancelled or is the old one."""
    dialog = RenameDialog(parent, title, label, text)
    accepted = dialog.exec() == int(QDialog.DialogCode.Accepted)
    new = dialog.text
    dialog.deleteLater()
    return new if accepted and new != text else None


class AboutDialog(QDialog):
    """What the program is, and what it is for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("about_dialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"About {PROGRAM}")
        title = QLabel(PROGRAM)
        title.setProperty("heading", True)
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        title.setFont(font)
        version = QLabel(f"Version {toolbox.__version__}")
        version.setObjectName("about_version")
        version.setProperty("dim", True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 12)
        layout.setSpacing(10)
        layout.addWidget(title)
        layout.addWidget(version)
        for paragraph in _ABOUT:
            words = _words("", selectable=True)
            words.setText(paragraph)
            layout.addWidget(words)
        layout.addStretch(1)
        layout.addWidget(_close_button(self))
        self.setMinimumWidth(460)
        self.resize(500, layout.totalHeightForWidth(500))


_ABOUT = (
    "A text in the voice of a few seconds of speech: a speaker encoder, a synthesizer and a vocoder, trained apart, "
    "after “Transfer Learning from Speaker Verification to Multispeaker Text-To-Speech Synthesis” (Jia et al., 2018). "
    "Everything is computed on this machine; nothing is sent anywhere.",
    "Clone your own voice, or that of a person who agreed to it. Do not use a clone to pass as somebody or to put "
    "words into somebody's mouth: in many places that is a crime. Files that the program writes say in their tags "
    "that they are synthetic.",
    "The code is under the MIT licence. PyQt5, which draws the window, is under the GPL, version 3.",
)


class DoctorDialog(QDialog):
    """The findings of the checks, one by one as they come."""

    closed = pyqtSignal()
    """The dialog has gone: what still runs for it may stop."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("doctor_dialog")
        self.setWindowTitle("Doctor")
        self._head = QLabel("This checks the installation and changes nothing. Its trial run can take a minute.")
        self._head.setObjectName("doctor_head")
        self._lines = QPlainTextEdit()
        self._lines.setObjectName("doctor_lines")
        self._lines.setAccessibleName("Findings")
        self._lines.setReadOnly(True)
        self._lines.setFont(_fixed_font())
        self._bar = QProgressBar()
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._bar.setAccessibleName("Checking")
        policy = self._bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._bar.setSizePolicy(policy)
        copy = QPushButton("&Copy")
        copy.setObjectName("doctor_copy")
        copy.setToolTip("Copy all findings")
        copy.clicked.connect(lambda: _copy(self.text()))
        buttons = QHBoxLayout()
        buttons.addWidget(copy)
        buttons.addStretch(1)
        buttons.addWidget(_close_button(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.addWidget(self._head)
        layout.addWidget(self._lines, 1)
        layout.addWidget(self._bar)
        layout.addLayout(buttons)
        self.finished.connect(lambda _: self.closed.emit())
        self.set_running(False)

    def sizeHint(self) -> QSize:
        return QSize(760, 440)

    def add_line(self, line: str) -> None:
        """Append a finding ("ok …", "note …", "fault …") or any other line."""
        now = colors(self)
        first = line.split(" ", 1)[0]
        shade = {"ok": now.good, "note": now.warn, "fault": now.bad}.get(first, now.text)
        cursor = QTextCursor(self._lines.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if self._lines.document() is not None and self.text():
            cursor.insertBlock()
        cursor.insertText(line[: len(first)], _ink(shade))
        cursor.insertText(line[len(first):], _ink(now.text))
        self._lines.ensureCursorVisible()
        bar = self._lines.verticalScrollBar()
        if bar is not None:
            bar.setValue(bar.maximum())

    def clear(self) -> None:
        """Start anew."""
        self._lines.clear()

    def text(self) -> str:
        """All findings."""
        return self._lines.toPlainText()

    def set_running(self, running: bool) -> None:
        """Say whether there is more to come."""
        self._bar.setVisible(running)
        if running:
            self._head.setText("Checking…")
        elif self.text():
            self._head.setText("The checks are done.")


class ShortcutsDialog(QDialog):
    """A table of keys."""

    def __init__(self, parent: QWidget | None, rows: Sequence[tuple[str, str]]) -> None:
        super().__init__(parent)
        self.setObjectName("shortcuts_dialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Shortcuts")
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setContentsMargins(4, 4, 12, 4)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        for row, (keys, what) in enumerate(rows):
            pressed = QLabel(QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText) or keys)
            pressed.setProperty("heading", True)
            said = QLabel(what)
            said.setWordWrap(True)
            grid.addWidget(pressed, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(said, row, 1, Qt.AlignmentFlag.AlignTop)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(len(rows), 1)
        area = QScrollArea()
        area.setObjectName("shortcuts_table")
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.addWidget(area, 1)
        layout.addWidget(_close_button(self))
        line = pressed.sizeHint().height() + 8 if rows else 20
        self.resize(460, min(90 + line * len(rows), 560))


def _question(parent: QWidget | None, name: str, text: str, more: str) -> QMessageBox:
    box = QMessageBox(parent.window() if parent is not None else None)
    box.setObjectName(name)
    box.setWindowTitle(PROGRAM)
    box.setIcon(QMessageBox.Icon.Question)
    box.setTextFormat(Qt.TextFormat.RichText)
    # Names may hold anything, a tag too.
    box.setText(html.escape(text))
    box.setInformativeText(html.escape(more).replace("\n", "<br>"))
    return box


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_LISTED
    shown = [_shortened(name, 80) for name in names[:MOST_LISTED]]
    return "\n".join([*shown, f"… and {rest} more"] if rest > 0 else shown)


def _shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _words(name: str, selectable: bool) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    if selectable:
        flags = Qt.TextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setTextInteractionFlags(flags | Qt.TextInteractionFlag.TextSelectableByKeyboard)
    return label


def _close_button(dialog: QDialog) -> QDialogButtonBox:
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, Qt.Orientation.Horizontal, dialog)
    box.rejected.connect(dialog.reject)
    button = box.button(QDialogButtonBox.StandardButton.Close)
    if button is not None:
        button.setDefault(True)
        button.setFocus()
    return box


def _sign(widget: QWidget, which: QStyle.StandardPixmap):  # type: ignore[no-untyped-def]
    style = widget.style() or QApplication.style()
    size = 32
    return style.standardIcon(which).pixmap(size, size)  # type: ignore[union-attr]


def _fixed_font() -> QFont:
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    if not QFontInfo(font).fixedPitch():
        font = QFont("monospace")
        font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPointSizeF(QApplication.font().pointSizeF() - 1)
    return font


def _ink(color: QColor) -> QTextCharFormat:
    ink = QTextCharFormat()
    ink.setForeground(color)
    return ink


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
