"""Where voices come from: recording, files, the corpus, saved voices; shows the state and emits what is wanted."""

from __future__ import annotations

from PyQt5.QtCore import QEvent, QMimeData, QSignalBlocker, Qt, pyqtSignal
from PyQt5.QtGui import QDragEnterEvent, QDropEvent
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSplitter, QTabWidget, QVBoxLayout, QWidget

from toolbox.state import DeviceChoice, Recording, ToolboxState
from toolbox.theme import colors
from toolbox.views import dialogs
from toolbox.views.canvas import tint
from toolbox.views.clip_box import ClipBox
from toolbox.views.clip_tree import ClipTree
from toolbox.views.corpus_browser import CorpusBrowser
from toolbox.views.icons import icon, icon_button
from toolbox.views.pieces import ElidedComboBox
from toolbox.views.plots import LevelMeter
from toolbox.views.voices_panel import VoicesPanel

MAX_SECONDS = 60.0
HINT = "5 s are enough; 60 s at most"


def local_files(data: QMimeData | None) -> list[str]:
    """Paths of the files and folders that are being dropped."""
    urls = data.urls() if data is not None else []
    return [url.toLocalFile() for url in urls if url.isLocalFile()]


class VoicePanel(QWidget):
    """The left column: a row to record and load, tabs of clips, corpus and voices, and the current clip."""

    record_requested = pyqtSignal()
    record_stop_requested = pyqtSignal()
    load_requested = pyqtSignal()
    files_dropped = pyqtSignal(list)
    input_chosen = pyqtSignal(str)
    refresh_devices_requested = pyqtSignal()
    clip_selected = pyqtSignal(int)
    speaker_selected = pyqtSignal(str)
    play_clip_requested = pyqtSignal(int, object)
    """Id, (start, end) in seconds or None."""
    stop_requested = pyqtSignal()
    trim_requested = pyqtSignal(int, float, float)
    speaker_renamed = pyqtSignal(str, str)
    """Old name, new name."""
    clip_renamed = pyqtSignal(int, str)
    """Id, its new speaker."""
    clips_removed = pyqtSignal(list)

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.setAcceptDrops(True)
        self._make_source()
        self.clips = ClipTree(state, self)
        self.corpus = CorpusBrowser(state, self)
        self.voices = VoicesPanel(state, self)
        self.box = ClipBox(state, self)
        self._lay_out()
        self._connect()
        self._refresh()

    def _make_source(self) -> None:
        self.record = QPushButton("Rec&ord", self)
        self.record.setObjectName("record_button")
        self.record.setCheckable(True)
        self.record.setIcon(icon("record", self))
        self.load = QPushButton("&Load…", self)
        self.load.setObjectName("load_button")
        self.load.setToolTip("Load recordings from files: wav, flac, ogg, mp3, m4a and others.\n"
                             "Files and folders can also be dropped here.")
        self.inputs = ElidedComboBox(self)
        self.inputs.setObjectName("input_combo")
        self.inputs.setAccessibleName("Microphone")
        self.refresh = icon_button("refresh", "Look for microphones and loudspeakers again", "refresh_inputs", self)
        self.meter = LevelMeter(self)
        self.meter.setObjectName("record_meter")
        self.timer = QLabel(self)
        self.timer.setObjectName("record_timer")
        self.timer.setProperty("dim", True)
        self.notice = QLabel(self)
        self.notice.setObjectName("input_notice")
        self.notice.setWordWrap(True)

    def _lay_out(self) -> None:
        source = QHBoxLayout()
        source.setSpacing(6)
        source.addWidget(self.record)
        source.addWidget(self.load)
        source.addWidget(self.inputs, 1)
        source.addWidget(self.refresh)
        level = QHBoxLayout()
        level.setSpacing(6)
        level.addWidget(self.meter, 1)
        level.addWidget(self.timer)
        self.tabs = QTabWidget(self)
        self.tabs.setObjectName("voice_tabs")
        self.tabs.addTab(self.clips, "&Clips")
        self.tabs.addTab(self.corpus, "Cor&pus")
        self.tabs.addTab(self.voices, "&Voices")
        split = QSplitter(Qt.Orientation.Vertical, self)
        split.setObjectName("voice_splitter")
        split.setChildrenCollapsible(False)
        split.addWidget(self.tabs)
        split.addWidget(self.box)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(8, 8, 8, 8)
        rows.setSpacing(6)
        rows.addLayout(source)
        rows.addLayout(level)
        rows.addWidget(self.notice)
        rows.addWidget(split, 1)

    def _connect(self) -> None:
        self.record.clicked.connect(self._record)
        self.load.clicked.connect(lambda: self.load_requested.emit())
        self.inputs.textActivated.connect(self.input_chosen)
        self.refresh.clicked.connect(lambda: self.refresh_devices_requested.emit())
        self.clips.clip_chosen.connect(self.clip_selected)
        self.clips.speaker_chosen.connect(self.speaker_selected)
        self.clips.play_requested.connect(lambda clip_id: self.play_clip_requested.emit(clip_id, None))
        self.box.play_requested.connect(self.play_clip_requested)
        self.box.stop_requested.connect(self.stop_requested)
        self.box.trim_requested.connect(self.trim_requested)
        for part in (self.clips, self.box):
            part.rename_requested.connect(self._rename)
            part.remove_requested.connect(self._remove)
        self._state.inputs_changed.connect(self._show_inputs)
        self._state.recording_changed.connect(self._show_recording)

    def _refresh(self) -> None:
        self._show_inputs(self._state.inputs)
        self._show_recording(self._state.recording)

    def _show_inputs(self, choice: DeviceChoice) -> None:
        with QSignalBlocker(self.inputs):
            self.inputs.clear()
            self.inputs.addItems(choice.names or ("No microphone",))
            self.inputs.setCurrentIndex(max(0, self.inputs.findText(choice.current)))
        self.inputs.setToolTip(f"Microphone: {self.inputs.currentText()}" if choice.names else choice.problem)
        self.notice.setText("" if choice.names else choice.problem)
        self.notice.setVisible(not choice.names and bool(choice.problem))
        for part in (self.meter, self.timer):
            part.setVisible(self.notice.isHidden())
        tint(self.notice, colors(self).warn)
        self._enable_record()

    def _show_recording(self, recording: Recording | None) -> None:
        if recording is None:
            self.meter.reset()
            self.timer.setText(HINT)
        else:
            self.meter.set_level(recording.level_dbfs, recording.peak_dbfs)
            self.timer.setText(f"{recording.seconds:.1f} s of {MAX_SECONDS:.0f} s")
        words = "Rec&ord" if recording is None else "Stop"
        if self.record.text() != words or self.record.isChecked() != (recording is not None):
            self.record.setText("Rec&ord" if recording is None else "Stop")
            self.record.setIcon(icon("record" if recording is None else "stop", self))
            self.record.setChecked(recording is not None)
            self._enable_record()

    def _enable_record(self) -> None:
        recording = self._state.recording is not None
        there = bool(self._state.inputs.names)
        self.record.setEnabled(recording or there)
        self.inputs.setEnabled(there and not recording)
        self.refresh.setEnabled(not recording)
        why = self._state.inputs.problem or "No microphone was found."
        self.record.setToolTip("Stop and keep the recording" if recording
                               else f"Record a voice. {HINT}." if there else why)

    def _record(self) -> None:
        recording = self._state.recording
        # The button shows what is, not what was asked for.
        self.record.setChecked(recording is not None)
        if recording is None:
            self.record_requested.emit()
        else:
            self.record_stop_requested.emit()

    def _rename(self) -> None:
        speaker, clip = self.clips.current_speaker(), self._state.current_clip
        if speaker is not None:
            name = dialogs.rename(self, "Rename speaker", "New name of the speaker:", speaker)
            if name and name != speaker:
                self.speaker_renamed.emit(speaker, name)
        elif clip is not None:
            name = dialogs.rename(self, "Rename speaker", f"Who speaks in {clip.name}:", clip.speaker)
            if name and name != clip.speaker:
                self.clip_renamed.emit(clip.id, name)

    def _remove(self) -> None:
        ids = self.clips.chosen_ids()
        clip = self._state.current_clip
        if not ids and clip is not None:
            ids = [clip.id]
        if ids:
            self.clips_removed.emit(ids)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        if event is not None and local_files(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        paths = local_files(event.mimeData()) if event is not None else []
        if event is not None and paths:
            event.acceptProposedAction()
            self.files_dropped.emit(paths)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange and hasattr(self, "notice"):
            self.record.setIcon(icon("record" if self._state.recording is None else "stop", self))
            self.refresh.setIcon(icon("refresh", self))
            tint(self.notice, colors(self).warn)
