"""The log panel: lines, levels, details, copy, clear, bounded."""

import pytest
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QTextCursor
from PyQt5.QtWidgets import QApplication, QPlainTextEdit, QPushButton

from toolbox.state import MAX_LOG_LINES, ToolboxState
from toolbox.theme import colors
from toolbox.views.log_panel import LogPanel


@pytest.fixture
def state():
    state = ToolboxState()
    state.add_log("info", "The window opened.")
    state.add_log("error", "A file\ncould not be read.", "Traceback: line 3")
    return state


@pytest.fixture
def panel(qtbot, state):
    panel = LogPanel(state)
    qtbot.addWidget(panel)
    panel.resize(600, 110)
    panel.show()
    yield panel
    panel.hide()


def view(panel):
    return panel.findChild(QPlainTextEdit, "log_view")


def button(panel, name):
    return panel.findChild(QPushButton, name)


def put_cursor(panel, line):
    cursor = QTextCursor(view(panel).document().findBlockByNumber(line))
    view(panel).setTextCursor(cursor)


def color_of(panel, line):
    block = view(panel).document().findBlockByNumber(line)
    cursor = QTextCursor(block)
    cursor.movePosition(QTextCursor.MoveOperation.Right, n=15)
    return cursor.charFormat().foreground().color().name()


def test_lines_of_before_and_after_are_shown_one_block_each(panel, state):
    state.add_log("warning", "The clip is short.")
    lines = view(panel).toPlainText().splitlines()
    assert [line[10:] for line in lines] == [
        "The window opened.", "A file could not be read.  (details)", "The clip is short."]
    assert color_of(panel, 1) == colors(panel).bad.name() and color_of(panel, 2) == colors(panel).warn.name()


def test_details_come_for_the_chosen_line_only(qtbot, panel, state):
    put_cursor(panel, 0)
    assert not button(panel, "log_details").isEnabled()
    put_cursor(panel, 1)
    with qtbot.waitSignal(panel.details_requested) as asked:
        qtbot.mouseClick(button(panel, "log_details"), Qt.MouseButton.LeftButton)
    assert asked.args == [state.log[1]]
    with qtbot.waitSignal(panel.details_requested):
        qtbot.keyClick(view(panel), Qt.Key.Key_Return)


def test_double_click_asks_for_details(qtbot, panel, state):
    place = view(panel).cursorRect(QTextCursor(view(panel).document().findBlockByNumber(1))).center()
    with qtbot.waitSignal(panel.details_requested) as asked:
        qtbot.mouseDClick(view(panel).viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert asked.args == [state.log[1]]


def test_the_oldest_lines_go_and_details_stay_with_their_line(qtbot, panel, state):
    for number in range(MAX_LOG_LINES):
        state.add_log("info", f"line {number}", details=f"of {number}")
    assert view(panel).document().blockCount() == MAX_LOG_LINES
    put_cursor(panel, 0)
    with qtbot.waitSignal(panel.details_requested) as asked:
        button(panel, "log_details").click()
    assert asked.args[0].text == "line 0"


def test_reading_above_is_not_scrolled_away(panel, state):
    for number in range(60):
        state.add_log("info", f"line {number}")
    bar = view(panel).verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(3)
    state.add_log("info", "one more")
    assert bar.value() == 3


def test_copy_and_clear(panel, state):
    button(panel, "log_copy").click()
    copied = QApplication.clipboard().text()
    assert "could not be read." in copied and "Traceback: line 3" in copied
    button(panel, "log_clear").click()
    assert view(panel).toPlainText() == "" and len(state.log) == 2
    assert not button(panel, "log_copy").isEnabled()
    state.add_log("info", "Again.")
    assert view(panel).toPlainText()[10:] == "Again."


def test_another_palette_recolors_what_is_there(panel):
    from toolbox import theme

    for name in (theme.DARK, theme.LIGHT):
        panel.setPalette(theme.palette_of(getattr(theme, f"_{name.upper()}")))
        assert color_of(panel, 1) == getattr(theme, f"_{name.upper()}").bad.name()
        assert view(panel).document().blockCount() == 2
