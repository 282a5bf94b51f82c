"""The map and the table of similarities."""

import subprocess
import sys

import numpy as np
import pytest
from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt
from PyQt5.QtGui import QMouseEvent, QWheelEvent
from PyQt5.QtWidgets import QApplication, QPushButton, QTabWidget

from audio.errors import ToolboxError
from toolbox.state import Clip, Point, ProjectionMap, SimilarityTable, ToolboxState
from toolbox.theme import DARK, LIGHT, apply_theme, colors, speaker_color
from toolbox.views.comparison_panel import MOST_ENTRIES, ComparisonPanel, method_words
from toolbox.views.matrix_view import MatrixView


def clip(number, speaker="Anna"):
    return Clip(number, speaker, f"{speaker} {number}", np.zeros(1600, np.float32))


def points(count, speakers=("Anna", "Ben"), start=1):
    rng = np.random.default_rng(3)
    return tuple(
        Point("clip" if i % 3 else "result", start + i, speakers[i % len(speakers)], f"clip {i}", *rng.normal(size=2))
        for i in range(count)
    )


@pytest.fixture
def state():
    return ToolboxState()


@pytest.fixture
def make(qtbot, qapp, state):
    kept = []

    def build(size=(400, 675), start=True):
        panel = ComparisonPanel(state)
        qtbot.addWidget(panel)
        panel.resize(*size)
        panel.show()
        if start:
            panel.start_canvas()
        qapp.processEvents()
        kept.append(panel)
        return panel

    yield build
    kept.clear()


def button(panel, name):
    return panel.findChild(QPushButton, name)


def test_matplotlib_is_not_imported_with_the_panel():
    code = "import sys, toolbox.views.comparison_panel as p; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_before_the_canvas_there_is_a_plain_label(make, state):
    state.set_projection(ProjectionMap(points(3), "PCA"))
    panel = make(start=False)
    assert panel.canvas is None
    assert not button(panel, "save_picture").isEnabled()
    panel.start_canvas()
    assert len(panel.canvas.points) == 3
    assert button(panel, "save_picture").isEnabled()
    canvas = panel.canvas
    panel.start_canvas()
    assert panel.canvas is canvas


def test_a_filled_state_is_shown_with_dots_and_crosses(make, state):
    state.set_projection(ProjectionMap(points(9), "UMAP"))
    canvas = make().canvas
    assert len(canvas._dots.get_offsets()) == 6
    assert len(canvas._crosses.get_offsets()) == len(canvas._halos.get_offsets()) == 3


def test_everything_is_in_view_and_distances_are_true(make, state):
    state.set_projection(ProjectionMap(points(30), "UMAP"))
    canvas = make().canvas
    for index in range(30):
        assert canvas.rect().adjusted(20, 20, -20, -20).contains(canvas.pixel_of(index))
    left, right, bottom, top = canvas.limits
    assert (right - left) / canvas.width() == pytest.approx((top - bottom) / canvas.height())


@pytest.mark.parametrize("places", [[(1.0, 2.0)], [(1.0, 2.0), (1.0, 2.0)], [(0.0, 0.0), (float("nan"), 1.0)]])
def test_points_without_extent_or_place_are_no_trouble(make, state, places):
    panel = make()
    state.set_projection(ProjectionMap(tuple(Point("clip", i, "Anna", "x", *p) for i, p in enumerate(places)), "PCA"))
    panel.canvas.draw()
    finite = [p for p in places if np.isfinite(p).all()]
    assert len(panel.canvas.points) == len(finite)
    assert panel.canvas.rect().contains(panel.canvas.pixel_of(0))


def test_a_click_selects_and_plays(make, state, qtbot):
    state.set_projection(ProjectionMap(points(5), "PCA"))
    panel = make()
    with qtbot.waitSignal(panel.point_selected) as sent:
        qtbot.mouseClick(panel.canvas, Qt.MouseButton.LeftButton, pos=panel.canvas.pixel_of(2))
    assert sent.args == ["clip", 3]
    with qtbot.assertNotEmitted(panel.point_selected):
        qtbot.mouseClick(panel.canvas, Qt.MouseButton.LeftButton, pos=QPoint(2, 2))


def test_what_the_other_panels_show_is_ringed(make, state):
    state.add_clips([clip(2), clip(3)])
    state.set_projection(ProjectionMap(points(5), "PCA"))
    panel = make()
    state.set_current_clip(3)
    np.testing.assert_allclose(panel.canvas._rings.get_offsets(), [panel.canvas._xy[2]])
    state.set_current_clip(99)
    assert len(panel.canvas._rings.get_offsets()) == 0


def test_hover_names_the_utterance_and_its_similarity(make):
    panel = make()
    from toolbox.views.map_canvas import describe

    said = describe(Point("result", 1, "<i>Anna", "Hello & so on", 0, 0, 0.834))
    assert "Hello &amp; so on" in said and "&lt;i&gt;Anna" in said and "0.83" in said and "clone" in said
    assert "similarity" not in describe(Point("clip", 1, "Anna", "a", 0, 0, None))
    assert panel.canvas.point_at(QPoint(5, 5)) is None


def wheel(canvas, position, steps):
    event = QWheelEvent(
        QPointF(position), QPointF(canvas.mapToGlobal(position)), QPoint(), QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )
    QApplication.sendEvent(canvas, event)


def test_the_wheel_zooms_at_the_cursor(make, state):
    state.set_projection(ProjectionMap(points(12), "UMAP"))
    canvas = make().canvas
    place, before = canvas.pixel_of(4), canvas.limits
    wheel(canvas, place, 3)
    assert (canvas.pixel_of(4) - place).manhattanLength() <= 2
    assert canvas.limits[1] - canvas.limits[0] < 0.7 * (before[1] - before[0])
    for _ in range(300):
        wheel(canvas, QPoint(10, 10), 2)
    assert np.isfinite(canvas.limits).all()


def test_dragging_moves_and_a_drag_is_no_click(make, state, qtbot):
    state.set_projection(ProjectionMap(points(12), "UMAP"))
    panel = make()
    canvas, start = panel.canvas, panel.canvas.pixel_of(4)
    with qtbot.assertNotEmitted(panel.point_selected):
        qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
        for step in (QPoint(1, 1), QPoint(20, 0), QPoint(50, 30)):
            left = Qt.MouseButton.LeftButton
            event = QMouseEvent(
                QEvent.Type.MouseMove, QPointF(start + step), Qt.MouseButton.NoButton, left,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(canvas, event)
        qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(50, 30))
    assert (canvas.pixel_of(4) - start - QPoint(50, 30)).manhattanLength() <= 2


@pytest.mark.parametrize("how", ["home", "double click", "button"])
def test_the_view_can_be_reset(make, state, qtbot, how):
    state.set_projection(ProjectionMap(points(12), "UMAP"))
    panel = make()
    before = panel.canvas.limits
    panel.canvas.pan(30, 20)
    panel.canvas.zoom(1.5)
    assert panel.canvas.moved
    if how == "home":
        qtbot.keyClick(panel.canvas, Qt.Key.Key_Home)
    elif how == "double click":
        qtbot.mouseDClick(panel.canvas, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    else:
        qtbot.mouseClick(button(panel, "reset_view"), Qt.MouseButton.LeftButton)
    assert panel.canvas.limits == pytest.approx(before)


def test_the_view_stays_when_points_come_and_goes_with_the_method(make, state):
    some = points(12)
    state.set_projection(ProjectionMap(some, "UMAP"))
    canvas = make().canvas
    canvas.zoom(1.5)
    before = canvas.limits
    state.set_projection(ProjectionMap((*some, Point("result", 90, "Cara", "new", 40.0, 0.0)), "UMAP"))
    assert canvas.limits == before
    state.set_projection(ProjectionMap(some, "PCA"))
    assert not canvas.moved


def test_the_map_is_usable_from_the_keyboard(make, state, qtbot):
    state.set_projection(ProjectionMap(points(4), "PCA"))
    panel = make()
    with qtbot.waitSignal(panel.point_selected) as sent:
        qtbot.keyClick(panel.canvas, Qt.Key.Key_PageDown)
    assert sent.args == ["result", 1]
    with qtbot.waitSignal(panel.point_selected) as sent:
        qtbot.keyClick(panel.canvas, Qt.Key.Key_PageDown)
    assert sent.args == ["clip", 2]
    before = panel.canvas.limits
    qtbot.keyClick(panel.canvas, Qt.Key.Key_Plus)
    qtbot.keyClick(panel.canvas, Qt.Key.Key_Left)
    assert panel.canvas.limits != before


def test_speakers_have_the_colours_of_the_clip_list(make, state):
    state.add_clips([clip(1, "Zoe"), clip(2, "Ben"), clip(3, "Anna")])
    state.set_projection(ProjectionMap(points(4, ("Anna", "Ben", "Saved")), "PCA"))
    shades = make()._speaker_colors()
    assert shades == {"Ben": speaker_color(1), "Anna": speaker_color(2), "Saved": speaker_color(3)}


@pytest.mark.parametrize("width", [290, 400, 640])
def test_the_legend_is_limited_to_what_fits(make, state, width):
    names = tuple(f"speaker {i:03d}" for i in range(40))
    state.set_projection(ProjectionMap(points(80, names), "UMAP"))
    panel = make((width, 675))
    legend = panel._legend
    shown = legend.shown_names()
    assert 4 <= len(shown) <= MOST_ENTRIES
    assert shown == names[: len(shown)]
    assert legend.rest_text() == f"… and {40 - len(shown)} more"
    assert legend.height() == legend.heightForWidth(legend.width()) < 130
    assert panel.canvas.height() > 300


def test_the_method_is_said():
    assert method_words(ProjectionMap(points(3), "PCA")) == "PCA until there are 8 utterances"
    assert method_words(ProjectionMap(points(9), "PCA", fitting=True)) == "PCA · fitting…"
    assert method_words(ProjectionMap(points(9), "UMAP")) == "UMAP"
    assert method_words(ProjectionMap()) == ""


def test_buttons_send_intents_and_know_when_they_make_sense(make, state, qtbot):
    panel = make()
    for name in ("refit", "save_picture", "reset_view"):
        assert not button(panel, name).isEnabled()
    state.set_projection(ProjectionMap(points(9), "UMAP"))
    with qtbot.waitSignal(panel.refit_requested):
        qtbot.mouseClick(button(panel, "refit"), Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(panel.save_picture_requested):
        qtbot.mouseClick(button(panel, "save_picture"), Qt.MouseButton.LeftButton)
    state.set_projection(ProjectionMap(points(9), "UMAP", fitting=True))
    assert not button(panel, "refit").isEnabled()


def test_the_picture_is_saved_and_a_missing_folder_is_said(make, state, tmp_path):
    names = tuple(f"voice ${i}_x" for i in range(25))
    state.set_projection(ProjectionMap(points(50, names), "UMAP"))
    panel = make()
    assert panel.save_picture(tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert panel.save_picture(tmp_path / "map.v2") == tmp_path / "map.v2.png"
    assert b"<svg" in panel.save_picture(tmp_path / "map.svg").read_bytes()[:2000]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["map.png", "map.svg", "map.v2.png"]
    with pytest.raises(ToolboxError, match="no folder"):
        panel.save_picture(tmp_path / "none" / "map.png")


def test_colours_follow_the_palette(make, state, qapp):
    panel = make()
    state.set_projection(ProjectionMap(points(9), "UMAP"))
    sheet, palette = qapp.styleSheet(), qapp.palette()
    try:
        for theme in (DARK, LIGHT):
            apply_theme(qapp, theme)
            QApplication.sendPostedEvents()
            now = colors(panel)
            assert panel.canvas.figure.get_facecolor()[:3] == pytest.approx(now.base.getRgbF()[:3], abs=0.01)
    finally:
        qapp.setPalette(palette)
        qapp.setStyleSheet(sheet)


def test_the_table_appears_with_two_speakers(make, state):
    panel = make(start=False)
    matrix = panel.findChild(MatrixView, "similarity_matrix")
    state.set_similarity(SimilarityTable(("Anna",), np.array([[np.nan]], np.float32)))
    assert matrix.cell_at(QPoint(100, 100)) is None
    state.set_similarity(SimilarityTable(("Anna", "Ben"), np.array([[np.nan, 0.61], [0.61, 0.9]], np.float32)))
    panel.findChild(QTabWidget, "comparison_tabs").setCurrentIndex(1)
    assert matrix.describe((0, 1)) == "Anna / Ben: 0.61"
    assert matrix.describe((0, 0)) == "Anna: one clip, nothing to compare"
    assert matrix.describe((1, 1)) == "Ben: 0.90 among its own clips"
    assert not matrix.grab().isNull()


@pytest.mark.parametrize("count", [2, 5, 40, 200])
@pytest.mark.parametrize("size", [(250, 330), (600, 800)])
def test_cells_stay_inside_and_are_found_by_pixel(qtbot, count, size):
    view = MatrixView()
    qtbot.addWidget(view)
    view.resize(*size)
    rng = np.random.default_rng(0)
    view.set_matrix([f"speaker {i}" for i in range(count)], rng.uniform(0, 1, (count, count)))
    last = view.cell_rect(count - 1, count - 1)
    assert last.right() <= view.width() and last.bottom() <= view.height() - 40
    for cell in ((0, 0), (count - 1, 0), (count // 2, count - 1)):
        center = view.cell_rect(*cell).center()
        found = view.cell_at(QPoint(int(center.x()), int(center.y())))
        assert max(abs(found[0] - cell[0]), abs(found[1] - cell[1])) <= (0 if count < 100 else 1)
    assert not view.grab().isNull()


def test_the_table_is_read_with_the_arrow_keys(qtbot):
    view = MatrixView()
    qtbot.addWidget(view)
    view.set_matrix(["Anna", "Ben"], np.array([[0.9, 0.5], [0.5, np.nan]]))
    qtbot.keyClick(view, Qt.Key.Key_Right)
    with qtbot.waitSignal(view.cell_changed) as sent:
        qtbot.keyClick(view, Qt.Key.Key_Right)
    assert sent.args == ["Anna / Ben: 0.50"] == [view.accessibleDescription()]
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.cell == (0, 1)
    view.set_matrix(["Anna"], np.array([[0.9]]))
    assert view.cell is None
    with pytest.raises(ValueError, match="do not fit"):
        view.set_matrix(["Anna"], np.zeros((2, 2)))


def test_leaving_the_table_forgets_the_cell(qtbot):
    view = MatrixView()
    qtbot.addWidget(view)
    view.set_matrix(["Anna", "Ben"], np.eye(2))
    center = view.cell_rect(1, 0).center().toPoint()
    qtbot.mouseMove(view, center)
    view._point_at((1, 0))
    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
    assert view.cell is None
