"""The list of clips by speaker; shows ``state.clips`` and marks what the voice is made of."""

from __future__ import annotations

from PyQt5.QtCore import QEvent, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QFontMetrics, QIcon, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap
from PyQt5.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from toolbox.state import Clip, ToolboxState
from toolbox.theme import colors, level_color, speaker_color
from toolbox.views.canvas import draw_empty_text
from toolbox.views.pieces import counted

CLIP = Qt.ItemDataRole.UserRole
"""Id of a clip's row; None in a speaker's."""
SPEAKER = Qt.ItemDataRole.UserRole + 1
EMPTY = "No clips yet. Record a voice, load files, or drop them here."
DOT = 10


class ClipTree(QTreeWidget):
    """A row for each speaker with the speaker's colour, under it a row for each clip; several can be selected."""

    clip_chosen = pyqtSignal(int)
    speaker_chosen = pyqtSignal(str)
    play_requested = pyqtSignal(int)
    rename_requested = pyqtSignal()
    remove_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._clips: dict[int, QTreeWidgetItem] = {}
        self._speakers: dict[str, QTreeWidgetItem] = {}
        self._quiet = False
        self._just_sent: QTreeWidgetItem | None = None
        self.setObjectName("clip_tree")
        self.setAccessibleName("Clips by speaker")
        self.setHeaderHidden(True)
        self.setColumnCount(2)
        self.setUniformRowHeights(True)
        self.setIndentation(16)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setMinimumSectionSize(20)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self._fit_column()
        self.currentItemChanged.connect(self._moved)
        self.itemClicked.connect(self._clicked)
        self.itemActivated.connect(self._activated)
        state.clips_changed.connect(self.sync)
        state.clip_updated.connect(self._update_clip)
        state.current_clip_changed.connect(self._show_current)
        state.voice_changed.connect(lambda _: self._dress_all())
        self.sync()

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 60)

    def sizeHint(self) -> QSize:
        return QSize(260, 160)

    def current_speaker(self) -> str | None:
        """The speaker whose own row is the current one."""
        item = self.currentItem()
        return item.data(0, SPEAKER) if item is not None and item.data(0, CLIP) is None else None

    def chosen_ids(self) -> list[int]:
        """Clips whose row, or whose speaker's row, is selected; in order of the list."""
        ids: list[int] = []
        for speaker in self._in_order():
            rows = [speaker.child(row) for row in range(speaker.childCount())]
            ids += [row.data(0, CLIP) for row in rows if row is not None and (speaker.isSelected() or row.isSelected())]
        return ids

    def sync(self) -> None:
        """List what the state lists; what stays keeps its row, its selection and whether it is open."""
        self._quiet = True
        wanted = {clip.id: clip for clip in self._state.clips}
        for clip_id, item in list(self._clips.items()):
            clip = wanted.get(clip_id)
            parent = item.parent()
            if parent is not None and (clip is None or parent.data(0, SPEAKER) != clip.speaker):
                parent.removeChild(item)
                del self._clips[clip_id]
        for clip in wanted.values():
            if clip.id not in self._clips:
                self._clips[clip.id] = item = QTreeWidgetItem()
                item.setData(0, CLIP, clip.id)
                item.setTextAlignment(1, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
                self._speaker_row(clip.speaker).addChild(item)
        self._order_speakers()
        self._dress_all()
        self._quiet = False
        self._show_current(self._state.current_clip)

    def _speaker_row(self, speaker: str) -> QTreeWidgetItem:
        item = self._speakers.get(speaker)
        if item is None:
            item = self._speakers[speaker] = QTreeWidgetItem()
            item.setData(0, SPEAKER, speaker)
            item.setTextAlignment(1, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            self.addTopLevelItem(item)
            item.setExpanded(True)
        return item

    def _in_order(self) -> list[QTreeWidgetItem]:
        items = [self.topLevelItem(row) for row in range(self.topLevelItemCount())]
        return [item for item in items if item is not None]

    def _order_speakers(self) -> None:
        """The order of appearance, as everywhere a speaker has a colour; a speaker without clips goes."""
        speakers = self._state.speakers
        for name in [name for name in self._speakers if name not in speakers]:
            self.takeTopLevelItem(self.indexOfTopLevelItem(self._speakers.pop(name)))
        for row, name in enumerate(speakers):
            item = self._speakers[name]
            if self.topLevelItem(row) is not item:
                opened = item.isExpanded()
                self.takeTopLevelItem(self.indexOfTopLevelItem(item))
                self.insertTopLevelItem(row, item)
                item.setExpanded(opened)

    def _dress_all(self) -> None:
        for index, item in enumerate(self._in_order()):
            self._dress_speaker(item, index)
        for clip in self._state.clips:
            self._dress_clip(clip)

    def _dress_speaker(self, item: QTreeWidgetItem, index: int) -> None:
        speaker = item.data(0, SPEAKER)
        voice = self._state.voice
        speaks = voice is not None and voice.kind == "speaker" and voice.name == speaker
        count = counted(item.childCount(), "clip")
        item.setIcon(0, self._dot(index))
        item.setToolTip(0, f"{speaker}: the mean of {count}" + (" is the voice" if speaks else ""))
        self._write(item, speaker, "voice" if speaks else count, speaks)

    def _dress_clip(self, clip: Clip) -> None:
        item = self._clips.get(clip.id)
        if item is None:
            return
        voice = self._state.voice
        speaks = voice is not None and voice.kind == "clip" and clip.id in voice.clip_ids
        poor = clip.problem or (clip.coaching is not None and clip.coaching.verdict == "poor")
        words = "no voice" if clip.problem else f"{clip.seconds:.1f} s" if clip.embed is not None else "…"
        item.setForeground(1, level_color("poor", self) if poor else colors(self).dim)
        advice = clip.problem or (clip.coaching.advice if clip.coaching is not None else "")
        item.setToolTip(0, "\n".join(filter(None, (clip.name, advice))))
        item.setToolTip(1, advice or "The embedding is being computed")
        self._write(item, clip.name, f"voice · {words}" if speaks else words, speaks)

    def _write(self, item: QTreeWidgetItem, name: str, words: str, speaks: bool) -> None:
        font = self.font()
        font.setBold(speaks)
        for column, text in enumerate((name, words)):
            item.setText(column, text)
            item.setFont(column, font)

    def _dot(self, index: int) -> QIcon:
        ratio = max(self.devicePixelRatioF(), 1.0)
        pixmap = QPixmap(round(DOT * ratio), round(DOT * ratio))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(speaker_color(index))
        painter.drawEllipse(0, 0, DOT, DOT)
        painter.end()
        return QIcon(pixmap)

    def _update_clip(self, clip: Clip) -> None:
        item = self._clips.get(clip.id)
        parent = item.parent() if item is not None else None
        if parent is not None and parent.data(0, SPEAKER) == clip.speaker:
            self._dress_clip(clip)
        elif item is not None:
            self.sync()

    def _show_current(self, clip: Clip | None) -> None:
        """Make the clip's row the current one, unless its speaker's row is."""
        item = self._clips.get(clip.id) if clip is not None else None
        now = self.currentItem()
        if item is now or (item is not None and now is not None and item.parent() is now):
            return
        self._quiet = True
        if item is not None:
            self.setCurrentItem(item)
            self.scrollToItem(item)
        elif now is not None and now.data(0, CLIP) is not None:
            self.clearSelection()
            self.setCurrentItem(None)
        self._quiet = False

    def _moved(self, item: QTreeWidgetItem | None, before: QTreeWidgetItem | None) -> None:
        if not self._quiet and item is not None:
            self._just_sent = item
            self._send(item)

    def _clicked(self, item: QTreeWidgetItem, column: int) -> None:
        # A click on the row that is the current one already: back from a saved voice to this one.
        if item is not self._just_sent:
            self._send(item)

    def _send(self, item: QTreeWidgetItem) -> None:
        clip_id = item.data(0, CLIP)
        if clip_id is None:
            self.speaker_chosen.emit(item.data(0, SPEAKER))
        else:
            self.clip_chosen.emit(clip_id)

    def _activated(self, item: QTreeWidgetItem, column: int) -> None:
        if item.data(0, CLIP) is not None:
            self.play_requested.emit(item.data(0, CLIP))

    def _fit_column(self) -> None:
        font = self.font()
        font.setBold(True)
        self.setColumnWidth(1, QFontMetrics(font).horizontalAdvance("voice · 00.0 s") + 8)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        self._just_sent = None
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.remove_requested.emit()
        elif event is not None and event.key() == Qt.Key.Key_F2:
            self.rename_requested.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        if self.topLevelItemCount() == 0:
            draw_empty_text(self, EMPTY)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._fit_column()
            self._dress_all()
