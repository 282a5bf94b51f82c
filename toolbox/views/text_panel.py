"""The text to say, how and with which models, and a picture of how it went; shows the state and emits intents."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from PyQt5.QtCore import QEvent, QMimeData, QSignalBlocker, QSize, Qt, QTimer, pyqtBoundSignal, pyqtSignal
from PyQt5.QtGui import QHideEvent, QKeyEvent, QTextCursor
from PyQt5.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from synthesizer.speed import CHARS_PER_SECOND, SPEEDS
from toolbox.state import KINDS, DeviceChoice, ModelChoice, Take, ToolboxState, VoiceChoice
from toolbox.views.icons import icon, icon_button
from toolbox.views.pieces import BUSY, ElidedComboBox, ElidedLabel, FailedSegments, counted, enable, fill
from toolbox.views.plots import AlignmentView, MelView

MAX_SEED = 2**31 - 1
DRAWN_SEEDS = 1_000_000
"""A seed of six digits can be read out and typed again."""
DEBOUNCE_MS = 150
TEXT_TIP = "[1.5 s] is a pause of that length, {HH AH0 L OW1} are phonemes, a new line is a short pause"
CLONE_TIP = "Synthesize and vocode: say the text in the chosen voice (Ctrl+Enter)"
SYNTHESIZE_TIP = "Synthesize only: make the mel spectrogram, and no sound yet"
VOCODE_TIP = "Vocode only: make sound of the spectrogram below"
NO_TAKE = "There is no spectrogram yet: synthesize first"

_SENTENCE_ENDS = re.compile(r"[.!?…]+(?=\s|$)|\n+")


def count_words(text: str, speed: float = 1.0) -> str:
    """The length of a text in words: "132 characters · 2 sentences · about 9 s"."""
    spoken = " ".join(text.split())
    sentences = sum(any(c.isalnum() for c in part) for part in _SENTENCE_ENDS.split(text))
    seconds = max(1, round(len(spoken) / CHARS_PER_SECOND / speed)) if sentences else 0
    duration = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"
    about = f" · about {duration}" if seconds else ""
    return f"{counted(len(spoken), 'character')} · {counted(sentences, 'sentence')}{about}"


def voice_words(voice: VoiceChoice | None) -> str:
    """The voice in words: "Voice: NAME (3 clips)"."""
    if voice is None:
        return "Choose or record a voice first"
    origin = {"saved": "saved voice", "blend": "blend", "random": "random"}.get(voice.kind, "")
    if voice.clip_ids and voice.kind in ("clip", "speaker"):
        origin = counted(len(voice.clip_ids), "clip")
    words = f"Voice: {voice.name}" + (f" ({origin})" if origin else "")
    return words if voice.embed is not None else f"{words}, being computed…"


class _TextEdit(QPlainTextEdit):
    """Plain text; leaves Ctrl+Enter to the panel and Tab to the focus."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setPlaceholderText("Type what the voice shall say…")

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and _is_clone_key(event):
            event.ignore()
            return
        super().keyPressEvent(event)

    def insertFromMimeData(self, source: QMimeData | None) -> None:
        if source is not None and source.hasText():
            self.textCursor().insertText(source.text().replace("\x00", ""))
            self.ensureCursorVisible()

    def sizeHint(self) -> QSize:
        return QSize(300, 120)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 2 * self.fontMetrics().lineSpacing() + 12)


class TextPanel(QWidget):
    """Text, voice, seed and models; clone, synthesize, vocode; alignment and mel of the last take."""

    clone_requested = pyqtSignal()
    synthesize_requested = pyqtSignal()
    vocode_requested = pyqtSignal()
    cancel_requested = pyqtSignal()
    text_edited = pyqtSignal(str)
    option_changed = pyqtSignal(str, object)
    """Name (seed, use_seed, speed_percent, trim_silences or auto_play) and value."""
    model_chosen = pyqtSignal(str, str)
    """Kind and name."""
    compute_device_chosen = pyqtSignal(str)
    segment_retry_requested = pyqtSignal(int)
    """Number of the segment in the state's take."""

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._told = state.text
        self._timer = QTimer(self)
        self._timer.setObjectName("text_debounce")
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self.flush)
        self._build()
        self._refresh()
        state.text_changed.connect(self._show_text)
        state.voice_changed.connect(self._update_enabled)
        state.activity_changed.connect(self._show_activity)
        state.take_changed.connect(self._show_take)
        state.options_changed.connect(self._show_options)
        state.models_changed.connect(lambda kind: self._show_models(state.models(kind)))
        state.compute_devices_changed.connect(self._show_compute)

    # --- what the main window's menu may call

    def flush(self) -> None:
        """Tell the text as it stands now, when it has not been told."""
        self._timer.stop()
        text = self.text_edit.toPlainText()
        if text != self._told:
            self._told = text
            self.text_edited.emit(text)

    def request_clone(self) -> None:
        """As a click on Clone: nothing when the button is disabled."""
        self._request(self.clone_button, self.clone_requested)

    def request_synthesize(self) -> None:
        self._request(self.synthesize_button, self.synthesize_requested)

    def request_vocode(self) -> None:
        self._request(self.vocode_button, self.vocode_requested)

    # --- building

    def _build(self) -> None:
        self.voice_line = ElidedLabel(self)
        self.voice_line.setObjectName("voice_line")
        self.voice_line.setProperty("heading", True)
        self.text_edit = _TextEdit(self)
        self.text_edit.setObjectName("text_edit")
        self.text_edit.setAccessibleName("Text to say")
        self.text_edit.setToolTip(TEXT_TIP)
        self.text_edit.textChanged.connect(self._text_typed)
        self.count_line = ElidedLabel(self)
        self.count_line.setObjectName("count_line")
        self.count_line.setProperty("dim", True)
        self.failed_segments = FailedSegments(self)
        self.failed_segments.retry_requested.connect(self.segment_retry_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(5)
        layout.addWidget(self.voice_line)
        layout.addWidget(self.text_edit, 3)
        layout.addLayout(self._build_length())
        layout.addLayout(self._build_buttons())
        layout.addLayout(self._build_options())
        layout.addLayout(self._build_models())
        layout.addWidget(self.failed_segments)
        layout.addLayout(self._build_plots(), 4)

    def _build_length(self) -> QHBoxLayout:
        self.speed_spin = QSpinBox(self)
        self.speed_spin.setObjectName("speed_spin")
        self.speed_spin.setAccessibleName("Speed in percent")
        self.speed_spin.setToolTip("How fast to speak; 100 % is as usual, the pitch stays")
        self.speed_spin.setRange(*(round(100 * speed) for speed in SPEEDS))
        self.speed_spin.setSingleStep(5)
        self.speed_spin.setSuffix(" %")
        self.speed_spin.setKeyboardTracking(False)
        self.speed_spin.valueChanged.connect(lambda value: self.option_changed.emit("speed_percent", int(value)))
        speed_label = QLabel("Spee&d", self)
        speed_label.setBuddy(self.speed_spin)
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self.count_line, 1)
        row.addWidget(speed_label)
        row.addWidget(self.speed_spin)
        return row

    def _build_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.clone_button = self._button("clone_button", "&Clone", self.request_clone)
        self.clone_button.setProperty("primary", True)
        self.synthesize_button = self._button("synthesize_button", "&Synthesize", self.request_synthesize)
        self.synthesize_button.setAccessibleName("Synthesize only")
        self.vocode_button = self._button("vocode_button", "&Vocode", self.request_vocode)
        self.vocode_button.setAccessibleName("Vocode only")
        self.cancel_button = self._button("cancel_button", "Cancel", self.cancel_requested.emit)
        for button in (self.clone_button, self.synthesize_button, self.vocode_button, self.cancel_button):
            row.addWidget(button, 2 if button is self.clone_button else 1)
        return row

    def _button(self, name: str, text: str, clicked: Callable[..., None]) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.clicked.connect(clicked)
        return button

    def _build_options(self) -> QHBoxLayout:
        self.seed_check = self._check("seed_check", "S&eed", "use_seed", "The same seed and text give the same sound")
        self.seed_spin = QSpinBox(self)
        self.seed_spin.setObjectName("seed_spin")
        self.seed_spin.setAccessibleName("Seed")
        self.seed_spin.setRange(0, MAX_SEED)
        self.seed_spin.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.seed_spin.setKeyboardTracking(False)
        self.seed_spin.setMinimumWidth(62)
        self.seed_spin.valueChanged.connect(lambda value: self.option_changed.emit("seed", int(value)))
        self.seed_new = icon_button("dice", "New seed", "seed_new", self)
        self.seed_new.setMinimumHeight(20)
        self.seed_new.setMaximumWidth(26)
        self.seed_new.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        self.seed_new.clicked.connect(lambda: self.option_changed.emit("seed", secrets.randbelow(DRAWN_SEEDS)))
        tip = "Leave out silences inside the generated sound"
        self.trim_silences = self._check("trim_silences", "&Trim silences", "trim_silences", tip)
        tip = "Play when ready: start as soon as there is sound"
        self.auto_play = self._check("auto_play", "&Autoplay", "auto_play", tip)
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self.seed_check)
        row.addWidget(self.seed_spin, 1)
        row.addWidget(self.seed_new)
        row.addStretch(1)
        row.addWidget(self.trim_silences)
        row.addWidget(self.auto_play)
        return row

    def _check(self, name: str, text: str, option: str, tip: str) -> QCheckBox:
        check = QCheckBox(text, self)
        check.setObjectName(name)
        check.setToolTip(tip)
        check.clicked.connect(lambda on: self.option_changed.emit(option, bool(on)))
        return check

    def _build_models(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(1)
        self._model_combos: dict[str, QComboBox] = {}
        for column, (kind, word) in enumerate((*zip(KINDS, ("Encoder", "Synthesizer", "Vocoder"), strict=True),
                                               ("compute", "Runs on"))):
            combo = ElidedComboBox(self)
            combo.setObjectName(f"{kind}_combo")
            combo.setAccessibleName(word)
            label = QLabel(word, self)
            label.setProperty("dim", True)
            label.setBuddy(combo)
            small = label.font()
            small.setPointSizeF(max(8.0, 0.85 * small.pointSizeF()))
            label.setFont(small)
            grid.addWidget(label, 0, column)
            grid.addWidget(combo, 1, column)
            grid.setColumnStretch(column, 4 if kind != "compute" else 3)
            if kind != "compute":
                self._model_combos[kind] = combo
                combo.textActivated.connect(lambda name, kind=kind: self.model_chosen.emit(kind, name))
        self.encoder_combo, self.synthesizer_combo, self.vocoder_combo = self._model_combos.values()
        self.compute_combo = combo
        combo.textActivated.connect(self.compute_device_chosen)
        return grid

    def _build_plots(self) -> QHBoxLayout:
        self.take_alignment = AlignmentView(self)
        self.take_alignment.setObjectName("take_alignment")
        self.take_alignment.setAccessibleName("Alignment of the last synthesis")
        self.take_alignment.setToolTip("Alignment: a clear diagonal in a sentence means that each word was read once")
        self.take_alignment.empty_text = "The alignment of the text appears here"
        self.take_mel = MelView(self)
        self.take_mel.setObjectName("take_mel")
        self.take_mel.setAccessibleName("Mel spectrogram of the last synthesis")
        self.take_mel.setToolTip("Generated mel spectrogram: time to the right, pitch upwards")
        self.take_mel.empty_text = "The generated mel spectrogram appears here"
        # The row may give way to the list of failed sentences.
        for plot in (self.take_alignment, self.take_mel):
            plot.setMinimumHeight(40)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.take_alignment, 1)
        row.addWidget(self.take_mel, 1)
        return row

    # --- showing

    def _refresh(self) -> None:
        self._show_text(self._state.text)
        self._show_options()
        for kind in KINDS:
            self._show_models(self._state.models(kind))
        self._show_compute(self._state.compute_devices)
        self._show_take(self._state.take)
        self._show_count()

    def _show_text(self, text: str) -> None:
        self._told = text
        if text == self.text_edit.toPlainText():
            return
        with QSignalBlocker(self.text_edit):
            # Through a cursor, so that undo brings the old text back.
            cursor = QTextCursor(self.text_edit.document())
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.insertText(text)
        self._timer.stop()
        self._show_count()
        self._update_enabled()

    def _show_options(self) -> None:
        state = self._state
        for check, on in ((self.seed_check, state.use_seed), (self.trim_silences, state.trim_silences),
                          (self.auto_play, state.auto_play)):
            check.setChecked(on)
        with QSignalBlocker(self.seed_spin), QSignalBlocker(self.speed_spin):
            self.seed_spin.setValue(state.seed)
            self.speed_spin.setValue(state.speed_percent)
        self._show_count()
        why = "" if state.use_seed else " (tick Seed first: without it each run draws its own)"
        for widget, tip in ((self.seed_spin, "The number that decides how it is said"), (self.seed_new, "New seed")):
            widget.setEnabled(state.use_seed)
            widget.setToolTip(tip + why)

    def _show_models(self, choice: ModelChoice) -> None:
        fill(self._model_combos[choice.kind], choice.names, choice.current, choice.details, f"No {choice.kind}")

    def _show_compute(self, choice: DeviceChoice) -> None:
        fill(self.compute_combo, choice.names, choice.current, (), "…")
        self.compute_combo.setToolTip(choice.problem or "The processor that the models run on")

    def _show_take(self, take: Take | None) -> None:
        segments = take.segments if take is not None else ()
        self.take_alignment.set_alignments(take.alignments if take is not None else (), [s.ok for s in segments])
        self.take_mel.set_mel(take.mel if take is not None and take.mels else None)
        self.failed_segments.set_segments(segments, self._state.activity is None)
        self._update_enabled()

    def _show_activity(self) -> None:
        self.failed_segments.set_enabled(self._state.activity is None)
        self._update_enabled()

    def _show_count(self) -> None:
        self.count_line.setText(count_words(self.text_edit.toPlainText(), self._state.speed))

    def _update_enabled(self) -> None:
        voice, take, activity = self._state.voice, self._state.take, self._state.activity
        self.voice_line.setText(voice_words(voice))
        problem = ""
        if activity is not None:
            problem = BUSY
        elif voice is None:
            problem = "Choose or record a voice first"
        elif voice.embed is None:
            problem = "The voice is being computed"
        elif not any(c.isalnum() for c in self.text_edit.toPlainText()):
            problem = "Type a text first"
        enable(self.clone_button, CLONE_TIP, problem)
        enable(self.synthesize_button, SYNTHESIZE_TIP, problem)
        enable(self.vocode_button, VOCODE_TIP, BUSY if activity is not None else "" if take is not None else NO_TAKE)
        cancelling = activity is not None and activity.cancelling
        enable(self.cancel_button, "Stop the job at work (Esc)", "" if activity is not None and not cancelling
                else "It is being stopped" if cancelling else "Nothing is at work")

    # --- doing

    def _text_typed(self) -> None:
        self._show_count()
        self._update_enabled()
        self._timer.start()

    def _request(self, button: QPushButton, intent: pyqtBoundSignal) -> None:
        if not button.isEnabled():
            return
        self.seed_spin.interpretText()
        self.speed_spin.interpretText()
        self.flush()
        intent.emit()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and _is_clone_key(event):
            self.request_clone()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.seed_new.setIcon(icon("dice", self))

    def hideEvent(self, event: QHideEvent | None) -> None:
        self.flush()
        super().hideEvent(event)


def _is_clone_key(event: QKeyEvent) -> bool:
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and bool(
        event.modifiers() & Qt.KeyboardModifier.ControlModifier
    )
