"""Voices that are kept, blended or made up: what can be spoken in without clips; knows no file and no model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from PyQt5.QtCore import QEvent, QLocale, QPoint, QSignalBlocker, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QPaintEvent, QResizeEvent
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from toolbox.state import ToolboxState, VoiceChoice
from toolbox.theme import colors
from toolbox.views import dialogs
from toolbox.views.canvas import draw_empty_text
from toolbox.views.pieces import ElidedComboBox, enable

SPEAKER, SAVED = "speaker:", "saved:"
"""How the keys of ``blend_requested`` begin."""
NO_VOICE = "Choose or record a voice first"
EMPTY = "No saved voices yet"
NARROW = 320
"""Pixels under which the list leaves out when a voice was saved; its tooltip says so."""


class VoiceDetails(NamedTuple):
    """What was said about a voice that is to be saved."""

    name: str
    notes: str
    source: str
    agreed: bool


class VoiceList(QTreeWidget):
    """The saved voices in rows; says in words when there are none."""

    rename_pressed = pyqtSignal()
    delete_pressed = pyqtSignal()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        if not self.topLevelItemCount():
            draw_empty_text(self, EMPTY)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self.setColumnHidden(1, self.width() < NARROW)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        key = event.key() if event is not None else None
        if key == Qt.Key.Key_F2:
            self.rename_pressed.emit()
        elif key == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(240, 110)


class VoicesPanel(QWidget):
    """Saved voices, a blend of two voices, and a random one."""

    voice_used = pyqtSignal(str)
    save_requested = pyqtSignal()
    voice_renamed = pyqtSignal(str, str)
    voice_deleted = pyqtSignal(str)
    import_requested = pyqtSignal()
    export_requested = pyqtSignal(str)
    blend_requested = pyqtSignal(str, str, float)
    """Keys of two voices, and how much of the second, 0 to 1."""
    random_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._build()
        self._refresh_list()
        self._refresh_voice(state.voice)
        state.saved_voices_changed.connect(self._refresh_list)
        state.voice_changed.connect(self._refresh_voice)
        state.clips_changed.connect(self._refresh_blend)
        state.clip_updated.connect(self._refresh_blend)

    # --- build

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(6)
        column.addWidget(self._make_list(), 1)
        column.addLayout(self._make_buttons())
        column.addSpacing(4)
        column.addLayout(self._make_blend())
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        self._inner = inner

    def minimumSizeHint(self) -> QSize:
        # What does not fit is scrolled to.
        return QSize(self._inner.minimumSizeHint().width(), 120)

    def _make_list(self) -> QTreeWidget:
        tree = self._list = VoiceList()
        tree.setObjectName("saved_voices")
        tree.setAccessibleName("Saved voices")
        tree.setRootIsDecorated(False)
        tree.setUniformRowHeights(True)
        tree.setAllColumnsShowFocus(True)
        tree.setMinimumHeight(72)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        tree.setHeaderLabels(["Voice", "Saved", "Agreed"])
        tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        tree.customContextMenuRequested.connect(self._show_menu)
        tree.itemSelectionChanged.connect(self._refresh_buttons)
        tree.itemActivated.connect(lambda *_: self._use())
        tree.rename_pressed.connect(self._rename)
        tree.delete_pressed.connect(self._delete)
        header = tree.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
            header.setMinimumSectionSize(40)
        return tree

    def _make_buttons(self) -> QGridLayout:
        self._use_button = _button("&Use", "use_voice")
        self._use_button.setProperty("primary", True)
        self._save_button = _button("&Save…", "save_voice")
        self._save_button.setAccessibleName("Save current voice")
        self._import_button = _button("&Import…", "import_voice", "Take a voice out of a file")
        self._rename_button = _button("Re&name", "rename_voice")
        self._delete_button = _button("&Delete", "delete_voice")
        self._delete_button.setProperty("danger", True)
        self._export_button = _button("&Export…", "export_voice")
        self._use_button.clicked.connect(self._use)
        self._save_button.clicked.connect(self.save_requested)
        self._import_button.clicked.connect(self.import_requested)
        self._rename_button.clicked.connect(self._rename)
        self._delete_button.clicked.connect(self._delete)
        self._export_button.clicked.connect(lambda: self.export_requested.emit(self.selected or ""))
        grid = QGridLayout()
        grid.setSpacing(6)
        rows = (
            (self._use_button, self._save_button, self._import_button),
            (self._rename_button, self._delete_button, self._export_button),
        )
        for row, buttons in enumerate(rows):
            for column, button in enumerate(buttons):
                grid.addWidget(button, row, column)
        for column in range(3):
            grid.setColumnStretch(column, 1)
        return grid

    def _make_blend(self) -> QVBoxLayout:
        heading = QLabel("Blend two voices")
        heading.setProperty("heading", True)
        self._random_button = _button("&Random new voice", "random_voice", "Make up a voice and use it")
        self._random_button.clicked.connect(self.random_requested)
        self._a = self._make_combo("blend_a", "First voice of the blend")
        self._b = self._make_combo("blend_b", "Second voice of the blend")
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName("blend_slider")
        self._slider.setAccessibleName("Share of the second voice in per cent")
        self._slider.setRange(0, 100)
        self._slider.setPageStep(10)
        self._slider.setValue(50)
        self._slider.valueChanged.connect(self._refresh_share)
        self._share = QLabel()
        self._share.setObjectName("blend_share")
        self._share.setProperty("dim", True)
        self._blend_button = _button("Use &blend", "use_blend")
        self._blend_button.clicked.connect(self._blend)
        head = QHBoxLayout()
        head.addWidget(heading)
        head.addStretch(1)
        head.addWidget(self._share)
        voices = QHBoxLayout()
        voices.setSpacing(6)
        for widget, stretch in ((self._a, 3), (self._slider, 2), (self._b, 3)):
            voices.addWidget(widget, stretch)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self._blend_button)
        buttons.addStretch(1)
        buttons.addWidget(self._random_button)
        column = QVBoxLayout()
        column.setSpacing(6)
        column.addLayout(head)
        column.addLayout(voices)
        column.addLayout(buttons)
        return column

    def _make_combo(self, name: str, words: str) -> QComboBox:
        combo = ElidedComboBox()
        combo.setObjectName(name)
        combo.setAccessibleName(words)
        combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        combo.currentIndexChanged.connect(self._refresh_share)
        return combo

    # --- show

    @property
    def selected(self) -> str | None:
        """Name of the saved voice that is selected."""
        items = self._list.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def _refresh_list(self) -> None:
        selected = self.selected
        with QSignalBlocker(self._list):
            self._list.clear()
            for voice in self._state.saved_voices:
                item = QTreeWidgetItem([voice.name, _day(voice.created), _day(voice.consent.date) or "no"])
                item.setData(0, Qt.ItemDataRole.UserRole, voice.name)
                for column in range(3):
                    item.setToolTip(column, voice_tip(voice))
                if not voice.consent.agreed:
                    item.setForeground(2, colors(self).warn)
                self._list.addTopLevelItem(item)
                if voice.name == selected:
                    item.setSelected(True)
                    self._list.setCurrentItem(item)
        self._list.setHeaderHidden(not self._state.saved_voices)
        self._mark_used()
        self._refresh_buttons()
        self._refresh_blend()

    def _refresh_voice(self, voice: VoiceChoice | None) -> None:
        ready = voice is not None and voice.embed is not None
        tip = f"Keep {voice.name} to use it without its clips" if ready and voice else "Keep the voice that is in use"
        problem = NO_VOICE if voice is None else "Its embedding is being computed"
        enable(self._save_button, tip, "" if ready else problem)
        self._mark_used()

    def _mark_used(self) -> None:
        voice = self._state.voice
        used = voice.name if voice is not None and voice.kind == "saved" else None
        for row in range(self._list.topLevelItemCount()):
            item = self._list.topLevelItem(row)
            if item is not None:
                font = item.font(0)
                font.setBold(item.data(0, Qt.ItemDataRole.UserRole) == used)
                item.setFont(0, font)

    def _refresh_buttons(self) -> None:
        problem = "" if self.selected is not None else "Select a saved voice first"
        enable(self._use_button, "Speak in the selected voice (double click)", problem)
        enable(self._rename_button, "Give the selected voice another name", problem)
        enable(self._delete_button, "Delete the selected voice for good", problem)
        enable(self._export_button, "Write the selected voice to a file", problem)

    def _refresh_blend(self, _: object = None) -> None:
        known = [clip.speaker for clip in self._state.clips if clip.embed is not None]
        choices = [(name, SPEAKER + name) for name in self._state.speakers if name in known]
        choices += [(f"{voice.name} (saved)", SAVED + voice.name) for voice in self._state.saved_voices]
        for combo, other in ((self._a, 0), (self._b, 1)):
            old = combo.currentData() if combo.count() > 1 else None
            if [combo.itemData(row) for row in range(combo.count())] == [key for _, key in choices]:
                continue
            with QSignalBlocker(combo):
                combo.clear()
                for words, key in choices:
                    combo.addItem(words, key)
                row = combo.findData(old)
                combo.setCurrentIndex(row if row >= 0 else min(other, len(choices) - 1))
        self._refresh_share()

    def _refresh_share(self, _: int = 0) -> None:
        value = self._slider.value()
        a, b = self._a.currentText(), self._b.currentText()
        two = self._a.count() > 1
        for widget in (self._a, self._b, self._slider):
            widget.setEnabled(two)
        self._a.setToolTip(f"First voice: {a}" if a else "There is no voice yet")
        self._b.setToolTip(f"Second voice: {b}" if b else "There is no voice yet")
        self._share.setText(f"{100 - value} % and {value} %" if two else "")
        said = f"{100 - value} % {a}, {value} % {b}"
        self._slider.setToolTip(said if two else "")
        problem = "It takes two voices, with clips or saved" if not two else (
            "Choose two different voices" if self._a.currentData() == self._b.currentData() else "")
        enable(self._blend_button, f"Speak in {said}" if two else "Speak in a voice between two", problem)

    # --- intents

    def _use(self) -> None:
        if self.selected is not None:
            self.voice_used.emit(self.selected)

    def _rename(self) -> None:
        old = self.selected
        if old is None:
            return
        new = dialogs.rename(self, "Rename voice", f"New name of “{old}”:", old)
        if new is not None:
            self.voice_renamed.emit(old, new)

    def _delete(self) -> None:
        name = self.selected
        if name is not None:
            dialogs.confirm(self, f"Delete the saved voice “{name}” for good?", "&Delete",
                            lambda: self.voice_deleted.emit(name))

    def _blend(self) -> None:
        self.blend_requested.emit(self._a.currentData(), self._b.currentData(), self._slider.value() / 100)

    def _show_menu(self, position: QPoint) -> None:
        viewport = self._list.viewport()
        if self.selected is None or viewport is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for words, act in (("Use", self._use), ("Rename…", self._rename), ("Delete", self._delete),
                           ("Export…", self._export_button.click)):
            action = menu.addAction(words)
            if action is not None:
                action.triggered.connect(act)
        menu.popup(viewport.mapToGlobal(position))

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange and hasattr(self, "_list"):
            self._refresh_list()


class SaveVoiceDialog(QDialog):
    """Asks for what is kept with a voice. It cannot be saved without the word that its owner agreed."""

    def __init__(
        self, default_name: str, speaker: str, parent: QWidget | None = None, *, source: str = "",
        taken: Sequence[str] = (),
    ) -> None:
        """``source`` fills the line on where it came from; ``taken`` are the names of the voices that exist."""
        super().__init__(parent)
        self.setObjectName("save_voice_dialog")
        self.setWindowTitle("Save voice")
        self._taken = {_key(name) for name in taken}
        self._name = QLineEdit(default_name)
        self._name.setObjectName("voice_name")
        self._name.setMaxLength(80)
        self._name.selectAll()
        self._source = QLineEdit(source)
        self._source.setObjectName("voice_source")
        self._source.setPlaceholderText("for example: read by herself")
        self._notes = QPlainTextEdit()
        self._notes.setObjectName("voice_notes")
        self._notes.setTabChangesFocus(True)
        self._notes.setFixedHeight(72)
        self._agreed = QCheckBox("The &owner of this voice agreed")
        self._agreed.setObjectName("voice_agreed")
        hint = QLabel("Also tick it for a voice that nobody has, such as a random one.")
        hint.setProperty("dim", True)
        hint.setWordWrap(True)
        self._warning = QLabel()
        self._warning.setObjectName("voice_warning")
        self._warning.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(8)
        form.addRow("N&ame", self._name)
        form.addRow("&Where from", self._source)
        form.addRow("&Notes", self._notes)
        form.addRow("", self._agreed)
        form.addRow("", hint)
        buttons = QDialogButtonBox(self)
        self._save = buttons.addButton("&Save", QDialogButtonBox.ButtonRole.AcceptRole)
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        if self._save is not None and cancel is not None:
            self._save.setObjectName("voice_save")
            self._save.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.setSpacing(10)
        if speaker:
            words = QLabel(f"The voice of {speaker} is kept without its clips.")
            words.setTextFormat(Qt.TextFormat.PlainText)
            words.setWordWrap(True)
            layout.addWidget(words)
        layout.addLayout(form)
        layout.addWidget(self._warning)
        layout.addWidget(buttons)
        self._name.textChanged.connect(self._check)
        self._agreed.toggled.connect(self._check)
        self.setMinimumWidth(420)
        self._check()

    def values(self) -> VoiceDetails:
        """What was entered, without spaces around it."""
        return VoiceDetails(
            " ".join(self._name.text().split()), self._notes.toPlainText().strip(), self._source.text().strip(),
            self._agreed.isChecked(),
        )

    @property
    def replaces(self) -> bool:
        """Whether a saved voice has that name already."""
        return _key(self.values().name) in self._taken

    def _check(self, _: object = None) -> None:
        if self._save is None:
            return
        named = bool(self.values().name)
        self._save.setText("&Replace" if self.replaces else "&Save")
        self._save.setEnabled(named and self._agreed.isChecked())
        self._save.setToolTip("" if self._save.isEnabled() else "It needs a name, and that the owner agreed")
        self._warning.setText(f"This replaces the saved voice “{self.values().name}”." if self.replaces else "")
        self._warning.setStyleSheet(f"color: {colors(self).warn.name()}")
        self._warning.setVisible(self.replaces)


def voice_tip(voice: Any) -> str:
    """What is known about a saved voice, as rich text."""
    lines = [f"<b>{html.escape(voice.name)}</b>"]
    if voice.source:
        lines.append(html.escape(voice.source))
    if voice.created:
        lines.append(f"saved {_day(voice.created)}")
    agreed = voice.consent.agreed
    lines.append(f"its owner agreed, {_day(voice.consent.date)}" if agreed else "no agreement of its owner is noted")
    if voice.notes:
        lines.append(html.escape(voice.notes).replace("\n", "<br>"))
    return "<qt>" + "<br>".join(lines) + "</qt>"


def _day(moment: str) -> str:
    """The day of an ISO 8601 time as this country writes it, "" for anything else."""
    try:
        day = datetime.fromisoformat(moment).date()
    except ValueError:
        return ""
    return QLocale().toString(day, QLocale.FormatType.ShortFormat)


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


def _button(text: str, name: str, tip: str = "") -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tip)
    return button
