"""What has been generated: a list, the current one with its similarity, replay, export; shows state, emits intents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt5.QtCore import QAbstractTableModel, QEvent, QItemSelectionModel, QModelIndex, QObject, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from toolbox.state import DeviceChoice, Playback, Result, ToolboxState
from toolbox.theme import colors, level_color
from toolbox.views.icons import icon, icon_button
from toolbox.views.pieces import BUSY, ElidedComboBox, ElidedLabel, counted, enable, fill, first_words
from toolbox.views.plots import WaveformView
from toolbox.views.similarity import SimilarityBlock, judge_words

ROOMY_HEIGHT, ROOMY_WIDTH = 295, 450
"""Pixels from which the words under the similarity scale, and longer words in the rows, have their place."""
NONE_CHOSEN = "Choose a result first"
COLUMNS = ("Result", "Length", "Similarity", "Saved")


class ResultModel(QAbstractTableModel):
    """The results as rows, newest first. The name can be edited: the wish is sent, the state decides."""

    rename_wished = pyqtSignal(int, str)

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self._results: list[Result] = []

    def set_results(self, results: tuple[Result, ...]) -> None:
        """Oldest first, as in the state."""
        self.beginResetModel()
        self._results = list(reversed(results))
        self.endResetModel()

    def update(self, result: Result) -> None:
        """Replace the row with that id, when there is one."""
        row = self.row_of(result.id)
        if row >= 0:
            self._results[row] = result
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def row_of(self, result_id: int | None) -> int:
        """Row of an id, or -1."""
        return next((row for row, result in enumerate(self._results) if result.id == result_id), -1)

    def id_at(self, row: int) -> int | None:
        return self._results[row].id if 0 <= row < len(self._results) else None

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._results)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def flags(self, index: QModelIndex) -> Qt.ItemFlags:
        flags = Qt.ItemFlags(Qt.ItemFlag.ItemIsEnabled) | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == 0 else flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(section)
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or not 0 <= index.row() < len(self._results):
            return None
        result, column = self._results[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(result, column)
        if role == Qt.ItemDataRole.EditRole:
            return result.name
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ForegroundRole and column == 2 and result.score is not None:
            return level_color(judge_words(result.score, result.speaker).level, self._view)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(result, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        name = " ".join(str(value).split())
        result_id = self.id_at(index.row())
        if role != Qt.ItemDataRole.EditRole or result_id is None or not name:
            return False
        if name != self._results[index.row()].name:
            self.rename_wished.emit(result_id, name)
        return True

    @staticmethod
    def _words(result: Result, column: int) -> str:
        if column == 0:
            return f"⚠ {result.name}" if result.take.failed else result.name
        if column == 1:
            return f"{result.seconds:.1f} s"
        if column == 2:
            return f"{result.score.similarity:.2f}" if result.score is not None else "–"
        return "✓" if result.saved_to is not None else ""

    @staticmethod
    def _tip(result: Result, column: int) -> str:
        if column == 2:
            if result.score is None:
                return "Not measured"
            verdict = judge_words(result.score, result.speaker)
            return f"{verdict.headline}. {verdict.explanation}"
        if column == 3:
            return f"Exported to {result.saved_to}" if result.saved_to is not None else "Not exported"
        failed = counted(len(result.take.failed), "sentence") + " may have failed" if result.take.failed else ""
        return "\n".join(part for part in (result.name, first_words(result.take.text, 200), failed) if part)


class _ResultTable(QTableView):
    """Rows to choose from; words in its place when there is none."""

    delete_wished = pyqtSignal()
    play_wished = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("result_table")
        self.setAccessibleName("Generated results, newest first")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)

    def set_up(self) -> None:
        """Sizes of rows and columns, once there is a model."""
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setMinimumSectionSize(16)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 4)
        columns.setHighlightSections(False)
        columns.setFixedHeight(self.fontMetrics().height() + 5)
        columns.setMinimumSectionSize(30)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def minimumSizeHint(self) -> QSize:
        header, rows = self.horizontalHeader(), self.verticalHeader()
        height = (header.height() if header else 20) + (rows.defaultSectionSize() if rows else 20)
        return QSize(200, height + 4)

    def sizeHint(self) -> QSize:
        return QSize(360, 110)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and self.state() != QAbstractItemView.State.EditingState:
            if event.key() == Qt.Key.Key_Delete:
                return self.delete_wished.emit()
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
                return self.play_wished.emit()
        super().keyPressEvent(event)
        return None

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        model, viewport = self.model(), self.viewport()
        if model is not None and viewport is not None and model.rowCount() == 0:
            painter = QPainter(viewport)
            painter.setPen(colors(self).dim)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(viewport.rect().adjusted(8, 0, -8, 0), flags, "What you generate is listed here")
            painter.end()


class ResultPanel(QWidget):
    """History, waveform and similarity of the current result, play, compare, export, rename, delete."""

    result_selected = pyqtSignal(int)
    play_result_requested = pyqtSignal(int)
    play_reference_requested = pyqtSignal(int)
    stop_requested = pyqtSignal()
    export_requested = pyqtSignal(int)
    result_renamed = pyqtSignal(int, str)
    results_deleted = pyqtSignal(list)
    segment_retry_requested = pyqtSignal(int, int)
    """Id of the result and number of the segment."""
    output_chosen = pyqtSignal(str)
    refresh_devices_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._showing = False
        self._build()
        self._show_results()
        self._show_outputs(state.outputs)
        self._show_playback(state.playback)
        state.results_changed.connect(self._show_results)
        state.result_updated.connect(self._model.update)
        state.current_result_changed.connect(self._show_current)
        state.outputs_changed.connect(self._show_outputs)
        state.playback_changed.connect(self._show_playback)
        state.activity_changed.connect(self._update_failed)

    # --- building

    def _build(self) -> None:
        self.result_table = _ResultTable(self)
        self._model = ResultModel(self.result_table)
        self.result_table.setModel(self._model)
        self.result_table.set_up()
        self._model.rename_wished.connect(self.result_renamed)
        self.result_table.doubleClicked.connect(lambda index: self._play_row(index.row()))
        self.result_table.play_wished.connect(self._play)
        self.result_table.delete_wished.connect(self._delete)
        selection = self.result_table.selectionModel()
        if selection is not None:
            selection.currentRowChanged.connect(self._row_chosen)
            selection.selectionChanged.connect(self._update_buttons)
        self.result_waveform = WaveformView(self, "The chosen result appears here", selectable=False)
        self.result_waveform.setObjectName("result_waveform")
        self.result_waveform.setAccessibleName("Waveform of the chosen result")
        self.similarity = SimilarityBlock(self)
        self.similarity_value = self.similarity.value
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        layout.addLayout(self._build_head())
        layout.addWidget(self.result_table, 3)
        layout.addWidget(self.similarity)
        layout.addWidget(self.result_waveform, 2)
        layout.addLayout(self._build_buttons())

    def _build_head(self) -> QHBoxLayout:
        self.heading = QLabel("Results", self)
        self.heading.setProperty("heading", True)
        self.failed_button = QToolButton(self)
        self.failed_button.setObjectName("result_failed")
        # Room for the arrow of the menu beside the words.
        self.failed_button.setStyleSheet("padding: 3px 16px 3px 6px;")
        self.failed_button.setMinimumHeight(20)
        self.failed_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Ignored)
        self.failed_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._failed_menu = QMenu(self.failed_button)
        self._failed_menu.setToolTipsVisible(True)
        self.failed_button.setMenu(self._failed_menu)
        self.output_combo = ElidedComboBox(self)
        self.output_combo.setObjectName("output_combo")
        self.output_combo.setAccessibleName("Output device")
        self.output_combo.setMinimumWidth(80)
        self.output_combo.textActivated.connect(self.output_chosen)
        self.refresh_outputs = icon_button("refresh", "Look for audio devices again", "refresh_outputs", self)
        self.refresh_outputs.setMinimumHeight(20)
        self.refresh_outputs.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Ignored)
        self.refresh_outputs.clicked.connect(lambda: self.refresh_devices_requested.emit())
        self._plays_on = ElidedLabel("Plays on", self)
        self._plays_on.setProperty("dim", True)
        self._plays_on.setBuddy(self.output_combo)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.heading)
        row.addWidget(self.failed_button)
        row.addStretch(1)
        row.addWidget(self._plays_on)
        row.addWidget(self.output_combo, 4)
        row.addWidget(self.refresh_outputs)
        return row

    def _build_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.play_result = self._button(row, "play_result", "&Play", self._play)
        self.ab_result = self._button(row, "ab_result", "A/&B", self._compare)
        # Its longer words come with the room for them.
        self.ab_result.setMinimumWidth(self.ab_result.fontMetrics().horizontalAdvance("A/B") + 18)
        self.stop_result = self._button(row, "stop_result", "S&top", self.stop_requested.emit)
        row.addStretch(1)
        self.export_result = self._button(row, "export_result", "E&xport…", self._export)
        self.rename_result = self._button(row, "rename_result", "Re&name", self._rename)
        self.delete_result = self._button(row, "delete_result", "&Delete", self._delete)
        self.delete_result.setProperty("danger", True)
        return row

    def _button(self, row: QHBoxLayout, name: str, text: str, clicked: Callable[..., None]) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.clicked.connect(lambda: clicked())
        # Six buttons side by side: narrower than the style's.
        button.setStyleSheet("padding: 4px 6px;")
        row.addWidget(button)
        return button

    # --- showing

    def _show_results(self) -> None:
        self._showing = True
        self._model.set_results(self._state.results)
        self._showing = False
        count = len(self._state.results)
        self.heading.setText(f"Results ({count})" if count else "Results")
        self._show_current(self._state.current_result)

    def _show_current(self, result: Result | None) -> None:
        selection, row = self.result_table.selectionModel(), self._model.row_of(result.id if result else None)
        if selection is not None and selection.currentIndex().row() != row:
            self._showing = True
            if row < 0:
                selection.clear()
            else:
                how = QItemSelectionModel.SelectionFlags(QItemSelectionModel.SelectionFlag.ClearAndSelect)
                how |= QItemSelectionModel.SelectionFlag.Rows
                selection.setCurrentIndex(self._model.index(row, 0), how)
                self.result_table.scrollTo(self._model.index(row, 0))
            self._showing = False
        self.result_waveform.set_wav(result.wav if result else None, result.sample_rate if result else 16000)
        self.similarity.set_result(result)
        self._update_failed()
        self._show_playback(self._state.playback)

    def _show_outputs(self, choice: DeviceChoice) -> None:
        fill(self.output_combo, choice.names, choice.current, (), "No output device")
        if choice.problem:
            self.output_combo.setToolTip(choice.problem)
        self._update_buttons()

    def _show_playback(self, playback: Playback | None) -> None:
        current = self._state.current_result
        own = playback is not None and current is not None and playback.id == current.id
        plays_clone = own and playback is not None and playback.kind == "result"
        self.result_waveform.set_position(playback.position if plays_clone and playback is not None else None)
        self._update_buttons()

    def _update_buttons(self) -> None:
        state, current = self._state, self._state.current_result
        chosen = len(self._chosen())
        deaf = "" if state.outputs.names else state.outputs.problem or "There is no output device"
        none = "" if current is not None else NONE_CHOSEN
        reference = "" if current is None or current.reference_wav is not None else (
            "This voice has no recording to compare with")
        roomy = self.width() >= ROOMY_WIDTH
        self._plays_on.setVisible(roomy)
        self.ab_result.setText("A/&B" if not roomy else "&Hear clone" if self._plays_reference() else "&Hear reference")
        enable(self.play_result, "Play the chosen result (Enter in the list)", none or deaf)
        turn = "the clone" if self._plays_reference() else "the reference recording"
        self.ab_result.setAccessibleName(f"Hear {turn}")
        enable(self.ab_result, f"A/B: each press plays the other of clone and reference; the next one {turn}",
               none or reference or deaf)
        enable(self.stop_result, "Stop the sound", "" if state.playback is not None else "Nothing is being played")
        enable(self.export_result, "Save the chosen result as wav, flac or ogg", none)
        enable(self.rename_result, "Give the chosen result another name (F2)", none)
        enable(self.delete_result, f"Remove {counted(chosen, 'result')} from the list (Del)",
               "" if chosen else NONE_CHOSEN)

    def _update_failed(self) -> None:
        current = self._state.current_result
        failed = current.take.failed if current is not None else ()
        self.failed_button.setVisible(bool(failed))
        self._failed_menu.clear()
        if current is None or not failed:
            return
        self.failed_button.setText(f"⚠ {len(failed)} failed")
        enable(self.failed_button, f"{counted(len(failed), 'sentence')} may have failed: say one of them again",
               BUSY if self._state.activity is not None else "")
        for index in failed:
            segment = current.take.segments[index]
            words = f"Say again: {first_words(segment.text, 60)}".replace("&", "&&")
            action = self._failed_menu.addAction(words)
            if action is not None:
                action.setToolTip(", ".join(segment.warnings))
                action.triggered.connect(
                    lambda _, result_id=current.id, index=index: self.segment_retry_requested.emit(result_id, index)
                )

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self.similarity.set_roomy(self.height() >= ROOMY_HEIGHT)
        self._update_buttons()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self.result_table.set_up()
        elif event is not None and event.type() == QEvent.Type.PaletteChange:
            self.refresh_outputs.setIcon(icon("refresh", self))

    # --- doing

    def _chosen(self) -> list[int]:
        """Ids of the selected rows."""
        selection: QItemSelectionModel | QObject | None = self.result_table.selectionModel()
        rows = selection.selectedRows() if isinstance(selection, QItemSelectionModel) else []
        ids = (self._model.id_at(index.row()) for index in rows)
        return [result_id for result_id in ids if result_id is not None]

    def _row_chosen(self, index: QModelIndex) -> None:
        result_id = self._model.id_at(index.row())
        if not self._showing and result_id is not None:
            self.result_selected.emit(result_id)

    def _plays_reference(self) -> bool:
        playback, current = self._state.playback, self._state.current_result
        return (playback is not None and current is not None and playback.kind == "reference"
                and playback.id == current.id)

    def _play_row(self, row: int) -> None:
        result_id = self._model.id_at(row)
        if result_id is not None and self._state.outputs.names:
            self.play_result_requested.emit(result_id)

    def _play(self) -> None:
        current = self._state.current_result
        if current is not None and self.play_result.isEnabled():
            self.play_result_requested.emit(current.id)

    def _compare(self) -> None:
        current = self._state.current_result
        if current is None:
            return
        if self._plays_reference():
            self.play_result_requested.emit(current.id)
        else:
            self.play_reference_requested.emit(current.id)

    def _export(self) -> None:
        current = self._state.current_result
        if current is not None:
            self.export_requested.emit(current.id)

    def _rename(self) -> None:
        row = self._model.row_of(self._state.current_result.id if self._state.current_result else None)
        if row >= 0:
            self.result_table.setFocus()
            self.result_table.edit(self._model.index(row, 0))

    def _delete(self) -> None:
        chosen = self._chosen()
        if chosen:
            self.results_deleted.emit(chosen)


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignCenter if column == 3 else (
        Qt.AlignmentFlag.AlignRight)
    return int(side | Qt.AlignmentFlag.AlignVCenter)
