"""The picture of all voices: a map of utterances and a table of similarities; knows no model and no file."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt5.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont, QFontMetrics, QHelpEvent, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from toolbox.state import ProjectionMap, SimilarityTable, ToolboxState
from toolbox.theme import colors, speaker_color
from toolbox.views.matrix_view import MatrixView

if TYPE_CHECKING:
    from toolbox.views.map_canvas import MapCanvas

POINTS_FOR_UMAP = 8
MOST_ENTRIES = 12
MOST_ROWS = 5
WIDEST_ENTRY = 150
EMPTY_MAP = "Recordings appear here as dots, clones as crosses.\nUtterances of one voice lie close together."
EMPTY_TABLE = "With clips of two speakers, their similarity appears here."
CAPTION = "Mean cosine between the clips of two speakers; on the diagonal, among a speaker's own."


class Legend(QWidget):
    """The speakers' colours in columns, at most ``MOST_ENTRIES`` in ``MOST_ROWS``, under a line for the marks."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[tuple[str, QColor], ...] = ()
        self._counts = (0, 0)
        self.setObjectName("map_legend")
        self.setAccessibleName("Legend")
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_entries(self, entries: Sequence[tuple[str, QColor]], recorded: int, cloned: int) -> None:
        """Names and colours, and how many points of both kinds there are."""
        if (tuple(entries), (recorded, cloned)) != (self._entries, self._counts):
            self._entries, self._counts = tuple(entries), (recorded, cloned)
            self.setAccessibleDescription(", ".join(name for name, _ in entries))
            self.updateGeometry()
            self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if not self._entries:
            return 0
        columns, _, shown = self._grid(width)
        cells = shown + (shown < len(self._entries))
        return self._row_height() * (1 + math.ceil(cells / columns))

    def sizeHint(self) -> QSize:
        return QSize(200, self.heightForWidth(max(self.width(), 200)))

    def minimumSizeHint(self) -> QSize:
        return QSize(100, 0)

    def shown_names(self) -> tuple[str, ...]:
        """The names that have an entry of their own."""
        return tuple(name for name, _ in self._entries[: self._grid(self.width())[2]])

    def rest_text(self) -> str:
        """What stands for the others, "" when there are none."""
        rest = len(self._entries) - self._grid(self.width())[2]
        return f"… and {rest} more" if rest else ""

    def event(self, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = self._tip_at(event.pos())
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if not self._entries:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        now, metrics, height = colors(self), painter.fontMetrics(), self._row_height()
        self._paint_marks(painter)
        for index, (name, color) in enumerate(self._entries[: self._grid(self.width())[2]]):
            cell = self._cell(index)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawEllipse(QRectF(cell.x() + 1, cell.y() + (height - 8) / 2, 8, 8))
            painter.setPen(now.text)
            room = cell.adjusted(14, 0, -6, 0)
            said = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room.width())
            painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), said)
        if self.rest_text():
            painter.setPen(now.dim)
            cell = self._cell(self._grid(self.width())[2]).adjusted(1, 0, 0, 0)
            painter.drawText(cell, int(Qt.AlignmentFlag.AlignVCenter), self.rest_text())

    def _paint_marks(self, painter: QPainter) -> None:
        now, height, x = colors(self), self._row_height(), 1.0
        middle = height / 2
        recorded, cloned = self._counts
        for mark, word in (("dot", f"{recorded} recorded"), ("cross", f"{cloned} cloned"), ("ring", "selected")):
            width = painter.fontMetrics().horizontalAdvance(word) + 2
            if x + 13 + width > self.width():
                break
            painter.setPen(Qt.PenStyle.NoPen if mark == "dot" else QPen(now.dim, 1.6 if mark == "cross" else 1.2))
            painter.setBrush(now.dim if mark == "dot" else QColor(0, 0, 0, 0))
            if mark == "cross":
                painter.drawLine(QRectF(x, middle - 4, 8, 8).topLeft(), QRectF(x, middle - 4, 8, 8).bottomRight())
                painter.drawLine(QRectF(x, middle - 4, 8, 8).topRight(), QRectF(x, middle - 4, 8, 8).bottomLeft())
            else:
                painter.drawEllipse(QRectF(x, middle - 4, 8, 8))
            painter.setPen(now.dim)
            painter.drawText(QRectF(x + 13, 0, width, height), int(Qt.AlignmentFlag.AlignVCenter), word)
            x += 13 + width + 9

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(8.0, font.pointSizeF() - 1))
        return font

    def _row_height(self) -> int:
        return QFontMetrics(self._font()).height() + 1

    def _grid(self, width: int) -> tuple[int, int, int]:
        """Columns, their width, and the number of names shown."""
        metrics = QFontMetrics(self._font())
        widest = max((metrics.horizontalAdvance(name) for name, _ in self._entries[:MOST_ENTRIES]), default=0)
        if len(self._entries) > MOST_ENTRIES:
            widest = max(widest, metrics.horizontalAdvance("… and 100 more") - 10)
        column = max(min(widest + 22, WIDEST_ENTRY, max(width, 100) // 2), 40)
        columns = max(1, width // column)
        room = columns * MOST_ROWS
        shown = min(len(self._entries), MOST_ENTRIES, room)
        if shown < len(self._entries) and shown == room:
            shown -= 1
        return columns, width // columns, shown

    def _cell(self, index: int) -> QRect:
        columns, column, _ = self._grid(self.width())
        height = self._row_height()
        return QRect(index % columns * column, height * (1 + index // columns), column, height)

    def _tip_at(self, position: QPoint) -> str:
        shown = self._grid(self.width())[2]
        for index, (name, _) in enumerate(self._entries[:shown]):
            if self._cell(index).contains(position):
                return f"<qt>{html.escape(name)}</qt>"
        if self.rest_text() and self._cell(shown).contains(position):
            rest = [html.escape(name) for name, _ in self._entries[shown:]]
            more = [f"… {len(rest) - 30} more"] if len(rest) > 30 else []
            return "<qt>" + "<br>".join(rest[:30] + more) + "</qt>"
        return ""


class ComparisonPanel(QWidget):
    """Map and similarity of everything that was recorded and cloned."""

    point_selected = pyqtSignal(str, int)
    """Kind ("clip" or "result") and id of the utterance to select and play."""
    refit_requested = pyqtSignal()
    save_picture_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.canvas: MapCanvas | None = None
        self._build()
        self._refresh_all()
        state.projection_changed.connect(self._refresh_map)
        state.clips_changed.connect(self._refresh_map)
        state.similarity_changed.connect(self._refresh_table)
        state.current_clip_changed.connect(self._refresh_selection)
        state.current_result_changed.connect(self._refresh_selection)

    def start_canvas(self) -> None:
        """Make the matplotlib canvas. Called once the window is on screen; importing matplotlib takes long.

        A worker that has imported ``matplotlib.backends.backend_agg`` and ``matplotlib.font_manager`` before
        makes this short.
        """
        if self.canvas is not None:
            return
        try:
            from toolbox.views.map_canvas import MapCanvas
        except ImportError as error:
            self._placeholder.setText(f"The map cannot be drawn: matplotlib does not load ({error}).")
            return
        self.canvas = MapCanvas(self)
        self.canvas.point_clicked.connect(self.point_selected)
        self._stack.addWidget(self.canvas)
        self._refresh_map()

    def save_picture(self, path: str | Path) -> Path:
        """Write what the map shows, with a legend, as png, svg, pdf or jpg; returns the path. Raises ToolboxError."""
        return self.picture_writer(path)()

    def picture_writer(self, path: str | Path) -> Callable[[], Path]:
        """The work of ``save_picture`` as a function that touches no widget, to be run in a worker."""
        from toolbox.views import map_canvas

        if self.canvas is None:
            raise RuntimeError("the canvas has not been started")
        shown = self.canvas
        names = {name: color.name() for name, color in self._speaker_colors().items()}
        return map_canvas.picture_writer(
            Path(path), shown.points, names, shown.limits, (shown.width(), shown.height()), colors(self),
            self._state.projection.method,
        )

    # --- build

    def _build(self) -> None:
        self._tabs = QTabWidget(self)
        self._tabs.setObjectName("comparison_tabs")
        self._tabs.setAccessibleName("Comparison of voices")
        self._tabs.addTab(self._map_page(), "&Map")
        self._tabs.addTab(self._table_page(), "S&imilarity")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self._tabs)

    def _map_page(self) -> QWidget:
        page = QWidget()
        self._placeholder = QLabel(EMPTY_MAP)
        self._placeholder.setProperty("dim", True)
        self._placeholder.setWordWrap(True)
        self._placeholder.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._placeholder.setMargin(16)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._placeholder)
        self._legend = Legend()
        self._method = QLabel()
        self._method.setObjectName("map_method")
        self._method.setProperty("dim", True)
        self._method.setWordWrap(True)
        self._reset = self._button("&Reset view", "reset_view", "Show all points (Home, or a double click beside them)")
        self._save = self._button("&Save…", "save_picture", "Save the map as a picture")
        self._refit = self._button("Re&fit", "refit", "Compute the map anew from all utterances")
        self._reset.clicked.connect(self._reset_view)
        self._save.setAccessibleName("Save picture")
        self._save.clicked.connect(self.save_picture_requested)
        self._refit.clicked.connect(self.refit_requested)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self._reset, self._save, self._refit):
            buttons.addWidget(button)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._legend)
        layout.addWidget(self._method)
        layout.addLayout(buttons)
        return page

    def _table_page(self) -> QWidget:
        page = QWidget()
        self._matrix = MatrixView()
        self._matrix.setObjectName("similarity_matrix")
        self._matrix.empty_text = EMPTY_TABLE
        self._matrix.caption = CAPTION
        layout = QVBoxLayout(page)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._matrix)
        return page

    def _button(self, text: str, name: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setToolTip(tip)
        return button

    # --- show

    def _refresh_all(self) -> None:
        self._refresh_map()
        self._refresh_table(self._state.similarity)

    def _refresh_map(self, _: object = None) -> None:
        projection = self._state.projection
        shades = self._speaker_colors()
        recorded = sum(point.kind == "clip" for point in projection.points)
        self._legend.set_entries(tuple(shades.items()), recorded, len(projection.points) - recorded)
        self._method.setText(method_words(projection))
        self._method.setVisible(bool(self._method.text()))
        some, drawn = bool(projection.points), self.canvas is not None
        self._reset.setEnabled(some and drawn)
        self._save.setEnabled(some and drawn)
        self._refit.setEnabled(len(projection.points) > 1 and not projection.fitting)
        if self.canvas is not None:
            names = {name: color.name() for name, color in shades.items()}
            self.canvas.set_points(projection.points, names, projection.method)
            self._stack.setCurrentWidget(self.canvas if some else self._placeholder)
        self._refresh_selection()

    def _refresh_selection(self, _: object = None) -> None:
        if self.canvas is not None:
            clip, result = self._state.current_clip, self._state.current_result
            chosen = [("clip", clip.id)] if clip is not None else []
            chosen += [("result", result.id)] if result is not None else []
            self.canvas.set_selected(frozenset(chosen))

    def _refresh_table(self, table: SimilarityTable) -> None:
        names = table.names if len(table.names) > 1 else ()
        self._matrix.set_matrix(names, table.matrix[: len(names), : len(names)])

    def _speaker_colors(self) -> dict[str, QColor]:
        """A colour for each speaker on the map: numbered as the clips' speakers are, then by order of appearance."""
        present = dict.fromkeys(point.speaker for point in self._state.projection.points)
        numbered = dict.fromkeys([*self._state.speakers, *present])
        return {name: speaker_color(index) for index, name in enumerate(numbered) if name in present}

    def _reset_view(self) -> None:
        if self.canvas is not None:
            self.canvas.reset_view()


def method_words(projection: ProjectionMap) -> str:
    """How the map was made."""
    few = projection.method == "PCA" and len(projection.points) < POINTS_FOR_UMAP
    words = [f"PCA until there are {POINTS_FOR_UMAP} utterances" if few else projection.method]
    words += ["fitting…" if projection.fitting else ""]
    return " · ".join(word for word in words if word)
