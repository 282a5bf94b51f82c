"""Datasets, speakers and utterances to choose from, of any number; shows ``state.corpus`` and reads no folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from PyQt5.QtCore import QEvent, QItemSelectionModel, QModelIndex, QSize, QStringListModel, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QHideEvent, QKeyEvent, QPaintEvent
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from toolbox.state import Corpus, ToolboxState
from toolbox.theme import colors
from toolbox.views.canvas import draw_empty_text, tint
from toolbox.views.icons import icon, icon_button
from toolbox.views.pieces import ElidedComboBox, ElidedLabel, counted

DEBOUNCE_MS = 120


class NamesModel(QStringListModel):
    """Names, of which those are rows that hold every word of the filter.

    Rows are held by Qt: a list view asks for the row count once for each row, which took 0.9 s for 100,000 rows
    when the answer came from Python, and takes 0.02 s so.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: Sequence[str] = ()
        self._lowered: list[str] | None = None
        self._rows: Sequence[int] = ()
        self._filter = ""

    @property
    def names(self) -> Sequence[str]:
        """All names, filtered out or not."""
        return self._names

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        return super().data(index, Qt.ItemDataRole.DisplayRole if role == Qt.ItemDataRole.ToolTipRole else role)

    def set_names(self, names: Sequence[str]) -> None:
        """Other names; the filter stays."""
        self._names, self._lowered = names, None
        self._show()

    def set_filter(self, words: str) -> None:
        """Keep the names that hold each of the words, in any case; none keeps all."""
        if words != self._filter:
            self._filter = words
            self._show()

    def number_at(self, row: int) -> int:
        """Number of a row's name among all names, -1 without one."""
        return self._rows[row] if 0 <= row < len(self._rows) else -1

    def row_of(self, number: int) -> int:
        """Row of a name by its number, -1 when it is filtered out."""
        try:
            return self._rows.index(number)
        except ValueError:
            return -1

    def _show(self) -> None:
        self._rows = self._matching()
        self.setStringList(self._names if isinstance(self._rows, range) else [self._names[row] for row in self._rows])

    def _matching(self) -> Sequence[int]:
        words = self._filter.casefold().split()
        if not words:
            return range(len(self._names))
        if self._lowered is None:
            self._lowered = [name.casefold() for name in self._names]
        rows = [number for number, name in enumerate(self._lowered) if words[0] in name]
        for word in words[1:]:
            rows = [number for number in rows if word in self._lowered[number]]
        return rows


class NamesList(QListView):
    """A list of rows of one height that says something when it is empty."""

    def __init__(self, model: NamesModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty_text = ""
        self.setModel(model)
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        return QSize(60, 44)

    def sizeHint(self) -> QSize:
        return QSize(140, 120)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        model = self.model()
        if model is not None and model.rowCount() == 0:
            draw_empty_text(self, self.empty_text)


class FilteredList(QWidget):
    """A heading with the count, a random button, a line that filters by typing, and the list."""

    chosen = pyqtSignal(int)
    """Number of the name that the user moved to."""
    activated = pyqtSignal(int)
    """Enter or double click."""
    random_requested = pyqtSignal()

    def __init__(self, noun: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._noun = noun
        self._quiet = False
        self.model = NamesModel(self)
        self.view = NamesList(self.model, self)
        self.view.setObjectName(f"{noun}_list")
        self.view.setAccessibleName(f"{noun.capitalize()}s")
        self.heading = ElidedLabel(self)
        self.heading.setProperty("dim", True)
        self.filter = QLineEdit(self)
        self.filter.setObjectName(f"{noun}_filter")
        self.filter.setAccessibleName(f"Filter of {noun}s")
        self.filter.setPlaceholderText("Filter…")
        self.filter.setToolTip("Words that the name must hold; Down or Enter goes to the list")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAcceptDrops(False)
        self.filter.installEventFilter(self)
        self.random = icon_button("dice", f"Random {noun}", f"random_{noun}", self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self.filter, 1)
        top.addWidget(self.random)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.heading)
        rows.addLayout(top)
        rows.addWidget(self.view, 1)
        self._timer.timeout.connect(self.apply_filter)
        self.filter.textChanged.connect(lambda _: self._timer.start())
        self.random.clicked.connect(self.random_requested)
        self.view.activated.connect(lambda index: self.activated.emit(self.model.number_at(index.row())))
        selection = self.view.selectionModel()
        assert selection is not None
        selection.currentChanged.connect(self._moved)

    def set_names(self, names: Sequence[str], current: int, empty_text: str, ready: bool = True) -> None:
        """Show names and which of them is chosen (-1 none)."""
        self.view.empty_text = empty_text
        if names is not self.model.names and names != self.model.names:
            self.model.set_names(names)
        self._select(current)
        self.random.setEnabled(ready and bool(names))
        self._update_heading()

    def current(self) -> int:
        """Number of the chosen name, -1 without one."""
        return self.model.number_at(self.view.currentIndex().row())

    def apply_filter(self) -> None:
        """Filter by what has been typed, now; what was chosen stays so as long as it is listed."""
        self._timer.stop()
        chosen = self.current()
        self.model.set_filter(self.filter.text().strip())
        self._select(chosen)
        self._update_heading()

    def _select(self, number: int) -> None:
        row = self.model.row_of(number) if number >= 0 else -1
        if row == self.view.currentIndex().row():
            return
        self._quiet = True
        selection = self.view.selectionModel()
        if selection is not None:
            if row < 0:
                selection.clear()
            else:
                index = self.model.index(row)
                selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
                self.view.scrollTo(index)
        self._quiet = False

    def _moved(self, index: QModelIndex, before: QModelIndex) -> None:
        if not self._quiet and index.isValid():
            self.chosen.emit(self.model.number_at(index.row()))

    def _update_heading(self) -> None:
        count, shown = len(self.model.names), self.model.rowCount()
        words = counted(count, self._noun) if count else f"{self._noun.capitalize()}s"
        self.heading.setText(words if shown == count else f"{shown:,} of {count:,}")
        viewport = self.view.viewport()
        if viewport is not None:
            viewport.update()

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:
        keys = (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if watched is self.filter and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress \
                and event.key() in keys:
            self.apply_filter()
            self.view.setFocus()
            if self.current() < 0 and self.model.rowCount():
                self.view.setCurrentIndex(self.model.index(0))
            return True
        return super().eventFilter(watched, event)

    def hideEvent(self, event: QHideEvent | None) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.random.setIcon(icon("dice", self))


class CorpusBrowser(QWidget):
    """A folder of datasets: choose a dataset, a speaker and an utterance, or let chance choose."""

    root_requested = pyqtSignal()
    dataset_chosen = pyqtSignal(str)
    speaker_chosen = pyqtSignal(str)
    utterance_chosen = pyqtSignal(int)
    """Number in ``state.corpus.utterances``."""
    utterance_load_requested = pyqtSignal(int)
    random_requested = pyqtSignal(str)
    """"dataset", "speaker" or "utterance"."""
    auto_next_toggled = pyqtSignal(bool)

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._make_source()
        self.speakers = FilteredList("speaker", self)
        self.utterances = FilteredList("utterance", self)
        self._make_load_row()
        self._lay_out()
        self.speakers.chosen.connect(self._choose_speaker)
        self.speakers.activated.connect(lambda _: self.utterances.view.setFocus())
        self.utterances.chosen.connect(self._choose_utterance)
        self.utterances.activated.connect(self._load)
        self.speakers.random_requested.connect(lambda: self.random_requested.emit("speaker"))
        self.utterances.random_requested.connect(lambda: self.random_requested.emit("utterance"))
        state.corpus_changed.connect(self._show_corpus)
        state.options_changed.connect(self._show_options)
        self._refresh()

    def _make_source(self) -> None:
        self.root_label = ElidedLabel(self)
        self.root_label.setObjectName("corpus_root")
        self.root_label.setAccessibleName("Folder of datasets")
        self.root_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.choose_root = QPushButton("Choose &folder…", self)
        self.choose_root.setObjectName("choose_corpus_root")
        self.choose_root.setToolTip("The folder that holds datasets such as LibriSpeech or VCTK, or one of them")
        self.choose_root.clicked.connect(lambda: self.root_requested.emit())
        self.datasets = ElidedComboBox(self)
        self.datasets.setObjectName("dataset_combo")
        self.datasets.setAccessibleName("Dataset")
        self.datasets.setToolTip("Dataset")
        self.datasets.textActivated.connect(self._choose_dataset)
        self.random_dataset = icon_button("dice", "Random dataset", "random_dataset", self)
        self.random_dataset.clicked.connect(lambda: self.random_requested.emit("dataset"))

    def _make_load_row(self) -> None:
        self.auto_next = QCheckBox("&Next after loading", self)
        self.auto_next.setObjectName("auto_next")
        self.auto_next.setToolTip("Move on to the next utterance once one has been loaded")
        self.auto_next.clicked.connect(lambda on: self.auto_next_toggled.emit(on))
        self.load = QPushButton("Loa&d", self)
        self.load.setObjectName("load_utterance")
        self.load.clicked.connect(lambda: self._load(self.utterances.current()))

    def _lay_out(self) -> None:
        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setVisible(False)
        folder = QHBoxLayout()
        folder.addWidget(self.root_label, 1)
        folder.addWidget(self.choose_root)
        dataset = QHBoxLayout()
        dataset.addWidget(self.datasets, 1)
        dataset.addWidget(self.random_dataset)
        lists = QHBoxLayout()
        lists.addWidget(self.speakers, 2)
        lists.addWidget(self.utterances, 3)
        bottom = QHBoxLayout()
        bottom.addWidget(self.auto_next)
        bottom.addStretch(1)
        bottom.addWidget(self.load)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(8, 8, 8, 8)
        for row in (folder, dataset, lists, bottom):
            row.setSpacing(6)
        rows.setSpacing(6)
        rows.addLayout(folder)
        rows.addLayout(dataset)
        rows.addWidget(self.message)
        rows.addLayout(lists, 1)
        rows.addLayout(bottom)

    def _refresh(self) -> None:
        self._show_corpus(self._state.corpus)
        self._show_options()

    def _show_options(self) -> None:
        self.auto_next.setChecked(self._state.auto_next)

    def _show_corpus(self, corpus: Corpus) -> None:
        # The end of a path says more than its beginning.
        parts = PurePath(corpus.root).parts
        self.root_label.setText(f"…/{'/'.join(parts[-2:])}" if len(parts) > 3 else corpus.root or "No folder chosen")
        self.root_label.setToolTip(corpus.root or "Choose a folder that holds recordings of several speakers")
        self._show_datasets(corpus)
        self._show_message(corpus)
        reading = "Reading…" if corpus.busy else ""
        none = "" if not corpus.root or corpus.problem else "None here"
        speaker = corpus.speakers.index(corpus.speaker) if corpus.speaker in corpus.speakers else -1
        self.speakers.set_names(corpus.speakers, speaker, reading or (none if corpus.dataset else "Choose a dataset"))
        words = reading or (none if corpus.speaker else "Choose a speaker")
        self.utterances.set_names(corpus.utterances, corpus.utterance, words)
        if not corpus.datasets and not corpus.busy:
            self.speakers.view.empty_text = ""
            self.utterances.view.empty_text = "" if corpus.root else "Choose a folder first"
        self._enable()

    def _show_datasets(self, corpus: Corpus) -> None:
        shown = tuple(self.datasets.itemText(index) for index in range(self.datasets.count()))
        if shown != corpus.datasets:
            self.datasets.clear()
            self.datasets.addItems(corpus.datasets)
        self.datasets.setCurrentIndex(self.datasets.findText(corpus.dataset) if corpus.dataset else -1)
        self.datasets.setEnabled(bool(corpus.datasets))
        self.random_dataset.setEnabled(bool(corpus.datasets))

    def _show_message(self, corpus: Corpus) -> None:
        self.message.setText(corpus.problem)
        self.message.setVisible(bool(corpus.problem))
        tint(self.message, colors(self).bad)

    def _enable(self) -> None:
        ready = self.utterances.current() >= 0
        self.load.setEnabled(ready)
        self.load.setToolTip("Load the chosen utterance (Enter or double click)" if ready
                             else "Choose an utterance first")

    def _choose_dataset(self, name: str) -> None:
        if name != self._state.corpus.dataset:
            self.dataset_chosen.emit(name)

    def _choose_speaker(self, number: int) -> None:
        speaker = self._state.corpus.speakers[number]
        if speaker != self._state.corpus.speaker:
            self.speaker_chosen.emit(speaker)

    def _choose_utterance(self, number: int) -> None:
        self._enable()
        if number != self._state.corpus.utterance:
            self.utterance_chosen.emit(number)

    def _load(self, number: int) -> None:
        if number >= 0:
            self.utterance_load_requested.emit(number)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.random_dataset.setIcon(icon("dice", self))
            tint(self.message, colors(self).bad)
