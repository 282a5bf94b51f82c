"""The window: panels in their places, the menu, dialogs for files and questions; knows no task and no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PyQt5.QtWidgets import (
    QAction,
    QActionGroup,
    QFileDialog,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from toolbox import theme
from toolbox.settings import Settings
from toolbox.state import ToolboxState
from toolbox.views import dialogs
from toolbox.views.activity_bar import ActivityBar
from toolbox.views.comparison_panel import ComparisonPanel
from toolbox.views.log_panel import LogPanel
from toolbox.views.menu import MENU, Entry, shortcuts
from toolbox.views.result_panel import ResultPanel
from toolbox.views.text_panel import TextPanel
from toolbox.views.voice_panel import VoicePanel
from toolbox.views.voices_panel import SaveVoiceDialog

TITLE = "Voice cloning toolbox"
MINIMUM_SIZE = QSize(1024, 700)
COLUMNS = (29, 39, 32)
"""Share of the width in per cent: voice, text and results, comparison."""
ROWS = (52, 48)
LOG_HEIGHT = 110
SOUND_FILES = "Sound (*.wav *.flac *.mp3 *.ogg *.opus *.m4a *.aac *.aiff *.aif *.mp4 *.webm *.wma);;All files (*)"
EXPORT_FILES = "WAV (*.wav);;FLAC (*.flac);;Ogg Vorbis (*.ogg)"


class MainWindow(QMainWindow):
    """The panels and what they share. Its intents are those of its menu, with file names already asked for."""

    files_chosen = pyqtSignal(list)
    corpus_chosen = pyqtSignal(str)
    export_chosen = pyqtSignal(int, str)
    export_all_chosen = pyqtSignal(str)
    voice_saved = pyqtSignal(object)
    """toolbox.views.voices_panel.VoiceDetails."""
    voice_import_chosen = pyqtSignal(str)
    voice_export_chosen = pyqtSignal(str, str)
    random_voice_requested = pyqtSignal()
    record_toggled = pyqtSignal()
    play_clip_requested = pyqtSignal(int)
    play_result_requested = pyqtSignal(int)
    play_reference_requested = pyqtSignal(int)
    stop_requested = pyqtSignal()
    cancel_requested = pyqtSignal()
    refresh_devices_requested = pyqtSignal()
    refresh_models_requested = pyqtSignal()
    fetch_requested = pyqtSignal()
    doctor_requested = pyqtSignal()
    closed = pyqtSignal()
    close_requested = pyqtSignal()
    """The user wants to leave: whoever listens calls ``close_now`` when nothing stands against it."""

    def __init__(self, state: ToolboxState, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.settings = settings
        self._may_close = False
        self.setWindowTitle(TITLE)
        self.setObjectName("main_window")
        self.setMinimumSize(MINIMUM_SIZE)
        self.setAcceptDrops(True)
        self.voice_panel = VoicePanel(state)
        self.text_panel = TextPanel(state)
        self.result_panel = ResultPanel(state)
        self.comparison_panel = ComparisonPanel(state)
        self.activity_bar = ActivityBar(state)
        self.log_panel = LogPanel(state)
        self._lay_out()
        self.actions_by_name: dict[str, QAction] = {}
        self._make_menu()
        self._connect()
        self._restore()

    # --- places

    def _lay_out(self) -> None:
        self._rows = QSplitter(Qt.Orientation.Vertical)
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        for splitter, parts in (
            (self._rows, (self.text_panel, self.result_panel)),
            (self._columns, (self.voice_panel, self._rows, self.comparison_panel)),
        ):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(5)
            for part in parts:
                splitter.addWidget(part)
        for index, share in enumerate(COLUMNS):
            self._columns.setStretchFactor(index, share)
        for index, share in enumerate(ROWS):
            self._rows.setStretchFactor(index, share)
        self.log_panel.setFixedHeight(LOG_HEIGHT)
        central = QWidget()
        layout = QVBoxLayout(central)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._columns, 1)
        layout.addWidget(self.activity_bar)
        layout.addWidget(self.log_panel)
        self.setCentralWidget(central)
        self._status = QLabel()
        self._status.setObjectName("status_line")
        self._status.setAccessibleName("Status")
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        bar = self.statusBar()
        if bar is not None:
            bar.addWidget(self._status, 1)
            bar.setSizeGripEnabled(False)

    def reset_layout(self) -> None:
        """The columns and rows as they are at first."""
        self._columns.setSizes([share * self.width() // 100 for share in COLUMNS])
        self._rows.setSizes([share * self.height() // 100 for share in ROWS])

    def _restore(self) -> None:
        screen = self.screen()
        space = screen.availableGeometry() if screen is not None else self.geometry()
        self.resize(min(1280, space.width()), min(800, space.height()))
        geometry = self.settings.data("window/geometry")
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        self.reset_layout()
        for name, splitter in (("columns", self._columns), ("rows", self._rows)):
            saved = self.settings.data(f"window/{name}")
            if not saved.isEmpty():
                splitter.restoreState(saved)
        self.show_log(self.settings.flag("window/log", False))

    def remember(self) -> None:
        """Keep places and sizes for the next start."""
        self.settings.set("window/geometry", self.saveGeometry())
        self.settings.set("window/columns", self._columns.saveState())
        self.settings.set("window/rows", self._rows.saveState())
        self.settings.set("window/log", not self.log_panel.isHidden())

    def show_log(self, visible: bool) -> None:
        """Open or fold the log."""
        self.log_panel.setVisible(visible)
        self.actions_by_name["show_log"].setChecked(visible)

    # --- the menu

    def _make_menu(self) -> None:
        bar = self.menuBar()
        assert bar is not None
        for title, entries in MENU.items():
            menu = bar.addMenu(title)
            assert menu is not None
            menu.setToolTipsVisible(True)
            for entry in entries:
                if entry is None:
                    menu.addSeparator()
                else:
                    menu.addAction(self._action(entry))
            if title == "V&iew":
                self._add_themes(menu)
        self.actions_by_name["show_log"].setCheckable(True)

    def _action(self, entry: Entry) -> QAction:
        action = QAction(entry.text, self)
        action.setObjectName(f"action_{entry.name}")
        if entry.keys:
            action.setShortcut(QKeySequence(entry.keys))
        slot: Callable[[], None] = (
            getattr(self, entry.signal).emit if entry.signal else getattr(self, f"_do_{entry.name}")
        )
        action.triggered.connect(lambda: slot())
        self.actions_by_name[entry.name] = action
        return action

    def _add_themes(self, menu: QMenu) -> None:
        menu.addSeparator()
        group = QActionGroup(self)
        now = self.settings.text("theme", theme.SYSTEM)
        for name, text in ((theme.SYSTEM, "Colours of the &system"), (theme.LIGHT, "L&ight"), (theme.DARK, "&Dark")):
            action = QAction(text, self)
            action.setObjectName(f"action_theme_{name}")
            action.setCheckable(True)
            action.setChecked(name == now)
            action.triggered.connect(lambda _, name=name: self.choose_theme(name))
            group.addAction(action)
            menu.addAction(action)

    def choose_theme(self, name: str) -> None:
        """Change the colours now and for the next starts."""
        from PyQt5.QtWidgets import QApplication

        self.settings.set("theme", name)
        app = QApplication.instance()
        if isinstance(app, QApplication):
            theme.apply_theme(app, name)

    # --- state

    def _connect(self) -> None:
        state, voice, results = self.state, self.voice_panel, self.result_panel
        state.status_changed.connect(self._status.setText)
        self._status.setText(state.status)
        for signal in (state.current_clip_changed, state.current_result_changed, state.results_changed,
                       state.result_updated, state.voice_changed, state.activity_changed, state.take_changed):
            signal.connect(lambda *_: self._enable())
        voice.load_requested.connect(self._do_load_files)
        voice.files_dropped.connect(self.files_chosen)
        voice.corpus.root_requested.connect(self._do_open_corpus)
        voice.voices.save_requested.connect(self._do_save_voice)
        voice.voices.import_requested.connect(self._do_import_voice)
        voice.voices.export_requested.connect(self._export_voice)
        results.export_requested.connect(self._export_result)
        self.comparison_panel.save_picture_requested.connect(self._save_picture)
        self.activity_bar.cancel_requested.connect(self.cancel_requested)
        self.log_panel.details_requested.connect(lambda line: self.show_error(line.text, line.details))
        self._enable()

    def _enable(self) -> None:
        state, act = self.state, self.actions_by_name
        ready = state.activity is None and state.voice is not None and state.voice.embed is not None
        result = state.current_result
        act["play_clip"].setEnabled(state.current_clip is not None)
        act["save_voice"].setEnabled(state.voice is not None and state.voice.embed is not None)
        act["clone"].setEnabled(ready)
        act["synthesize"].setEnabled(ready)
        act["vocode"].setEnabled(state.activity is None and state.take is not None)
        act["cancel"].setEnabled(state.activity is not None)
        act["export"].setEnabled(result is not None)
        act["export_all"].setEnabled(any(r.saved_to is None for r in state.results))
        act["play_result"].setEnabled(result is not None)
        act["play_reference"].setEnabled(result is not None and result.reference_wav is not None)

    # --- questions

    def _folder(self, key: str) -> str:
        return self.settings.text(f"folder/{key}", str(Path.home()))

    def _do_load_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Load sound files", self._folder("load"), SOUND_FILES)
        if paths:
            self.settings.set("folder/load", str(Path(paths[0]).parent))
            self.files_chosen.emit(paths)

    def _do_load_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Load all sound files of a folder", self._folder("load"))
        if path:
            self.settings.set("folder/load", path)
            self.files_chosen.emit([path])

    def _do_open_corpus(self) -> None:
        start = self.state.corpus.root or self._folder("load")
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of your datasets", start)
        if path:
            self.corpus_chosen.emit(path)

    def _do_export(self) -> None:
        if self.state.current_result is not None:
            self._export_result(self.state.current_result.id)

    def _export_result(self, result_id: int) -> None:
        result = self.state.result(result_id)
        if result is None:
            return
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in result.name).strip("_") or "speech"
        start = str(Path(self._folder("export")) / f"{name[:60]}.wav")
        path, chosen = QFileDialog.getSaveFileName(self, "Export the result", start, EXPORT_FILES)
        if path:
            if not Path(path).suffix:
                path += chosen[chosen.index("*") + 1 : chosen.index(")")] if "*" in chosen else ".wav"
            self.settings.set("folder/export", str(Path(path).parent))
            self.export_chosen.emit(result_id, path)

    def ask_export_folder(self) -> str:
        """A folder for several results; "" when the user does not want to."""
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the results", self._folder("export"))
        if path:
            self.settings.set("folder/export", path)
        return path

    def _do_export_all(self) -> None:
        path = self.ask_export_folder()
        if path:
            self.export_all_chosen.emit(path)

    def _do_save_voice(self) -> None:
        voice = self.state.voice
        if voice is None or voice.embed is None:
            return
        clips = [clip.name for clip in map(self.state.clip, voice.clip_ids) if clip is not None]
        dialog = SaveVoiceDialog(
            voice.name, voice.name, self, source=", ".join(clips[:3]) + (" and more" if len(clips) > 3 else ""),
            taken=[saved.name for saved in self.state.saved_voices],
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self.voice_saved.emit(dialog.values()))
        dialog.open()

    def _do_import_voice(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a voice", self._folder("voices"), "Voice (*.json)")
        if path:
            self.settings.set("folder/voices", str(Path(path).parent))
            self.voice_import_chosen.emit(path)

    def _export_voice(self, name: str) -> None:
        start = str(Path(self._folder("voices")) / f"{name}.json")
        path, _ = QFileDialog.getSaveFileName(self, "Export the voice", start, "Voice (*.json)")
        if path:
            self.settings.set("folder/voices", str(Path(path).parent))
            self.voice_export_chosen.emit(name, path)

    def _save_picture(self) -> None:
        start = str(Path(self._folder("export")) / "voices.png")
        path, _ = QFileDialog.getSaveFileName(self, "Save the picture", start, "PNG (*.png);;SVG (*.svg);;PDF (*.pdf)")
        if not path:
            return
        try:
            self.comparison_panel.save_picture(path)
        except (OSError, ValueError) as error:
            dialogs.show_error(self, f"The picture was not saved. {error}")
        else:
            self._status.setText(f"Wrote {path}.")

    # --- the menu's other slots

    def _do_quit(self) -> None:
        self.close()

    def _do_record(self) -> None:
        self.record_toggled.emit()

    def _do_play_clip(self) -> None:
        if self.state.current_clip is not None:
            self.play_clip_requested.emit(self.state.current_clip.id)

    def _do_play_result(self) -> None:
        if self.state.current_result is not None:
            self.play_result_requested.emit(self.state.current_result.id)

    def _do_play_reference(self) -> None:
        if self.state.current_result is not None:
            self.play_reference_requested.emit(self.state.current_result.id)

    def _do_clone(self) -> None:
        self.text_panel.request_clone()

    def _do_synthesize(self) -> None:
        self.text_panel.request_synthesize()

    def _do_vocode(self) -> None:
        self.text_panel.request_vocode()

    def _do_show_log(self) -> None:
        self.show_log(self.log_panel.isHidden())

    def _do_reset_layout(self) -> None:
        self.reset_layout()

    def _do_focus_voice(self) -> None:
        self.voice_panel.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._focus(self.voice_panel, "clip_tree")

    def _do_focus_text(self) -> None:
        self._focus(self.text_panel, "text_edit")

    def _do_focus_results(self) -> None:
        self._focus(self.result_panel, "result_table")

    def _do_focus_comparison(self) -> None:
        self._focus(self.comparison_panel, "comparison_tabs")

    @staticmethod
    def _focus(panel: QWidget, name: str) -> None:
        widget = panel.findChild(QWidget, name)
        if widget is not None:
            widget.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _do_shortcuts(self) -> None:
        dialogs.ShortcutsDialog(self, shortcuts()).open()

    def _do_about(self) -> None:
        dialogs.AboutDialog(self).open()

    # --- drops and leaving

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None:
            paths = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
            event.acceptProposedAction()
            if paths:
                self.files_chosen.emit(paths)

    def show_error(self, text: str, details: str = "") -> None:
        """A sentence in a dialog that waits for nobody, with details on demand."""
        dialogs.show_error(self, text, details)

    def ask_unsaved(self, names: Sequence[str]) -> str:
        """What to do with results that were not exported: "save", "discard" or "cancel"."""
        return str(dialogs.ask_unsaved(self, names))

    def close_now(self) -> None:
        """Close without asking."""
        self._may_close = True
        self.remember()
        self.close()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        if event is None:
            return
        if self._may_close:
            event.accept()
            self.closed.emit()
        else:
            event.ignore()
            self.close_requested.emit()
