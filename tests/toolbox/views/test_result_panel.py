"""The result panel: the list, the similarity in words and marks, and what its buttons ask for."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QFontMetrics
from PyQt5.QtWidgets import QLabel, QLineEdit

from toolbox import theme
from toolbox.state import (
    MAX_RESULTS,
    Activity,
    DeviceChoice,
    Playback,
    Result,
    SegmentInfo,
    Take,
    ToolboxState,
    VoiceChoice,
)
from toolbox.views.result_panel import ResultPanel
from toolbox.views.similarity import SimilarityScale, judge_words

VOICE = VoiceChoice("speaker", "Alice", np.full(256, 1 / 16, np.float32), (1,))
WAV = np.sin(np.arange(16000) / 9).astype(np.float32)


def score(similarity, own=None, other=None):
    return SimpleNamespace(similarity=similarity, own_spread=own, nearest_other=other)


def make_result(state, name="Alice: hello", ok=(True,), **changes):
    segments = tuple(SegmentInfo(f"Sentence {i}.", good, () if good else ("words were skipped",))
                     for i, good in enumerate(ok))
    take = Take("hello", VOICE, 1, (), (), segments, (0.0,) * len(ok))
    values = {"wav": WAV, "sample_rate": 16000, "reference_wav": WAV, "embed": VOICE.embed, **changes}
    return Result(state.new_id(), name, "Alice", take, **values)


@pytest.fixture
def state():
    state = ToolboxState()
    state.set_outputs(DeviceChoice(("Loudspeaker", "Headphones"), "Loudspeaker"))
    state.add_result(make_result(state, "first", score=score(0.87, 0.91, ("Bob", 0.62))))
    state.add_result(make_result(state, "second", (True, False), score=score(0.58, 0.9, ("Bob", 0.6))))
    state.add_result(make_result(state, "third", reference_wav=None, embed=None, saved_to=Path("/out/third.wav")))
    state.set_current_result(1)
    return state


@pytest.fixture
def panel(qtbot, state):
    panel = ResultPanel(state)
    qtbot.addWidget(panel)
    panel.resize(480, 303)
    panel.show()
    panel.result_selected.connect(state.set_current_result)
    yield panel
    panel.hide()


def cells(panel, row):
    model = panel.result_table.model()
    return [model.index(row, column).data() for column in range(model.columnCount())]


def words(panel):
    return panel.findChild(QLabel, "similarity_words").text()


@pytest.mark.parametrize(
    ("given", "level", "headline"),
    [
        (score(0.9, 0.91, ("Bob", 0.62)), "good", "Sounds like Alice"),
        (score(0.78, 0.91, ("Bob", 0.62)), "good", "Close to Alice"),
        (score(0.7, 0.91, ("Bob", 0.62)), "usable", "Somewhat like Alice"),
        (score(0.6, 0.91, ("Bob", 0.62)), "poor", "Closer to Bob than to Alice"),
        (score(0.45, 0.91, ("Bob", 0.2)), "poor", "Little like Alice"),
        (score(0.84), "good", "Sounds like Alice"),
        (score(0.4), "poor", "Little like Alice"),
        (score(0.75, 0.7, ("Bob", 0.72)), "good", "Sounds like Alice"),
    ],
)
def test_the_verdict_depends_on_the_others(given, level, headline):
    verdict = judge_words(given, "Alice")
    assert (verdict.level, verdict.headline) == (level, headline)
    assert ("another seed" in verdict.hint) == (level != "good")
    assert (given.own_spread is not None) == ("each other" in verdict.explanation)


def test_rows_are_newest_first(panel):
    assert cells(panel, 0) == ["third", "1.0 s", "–", "✓"]
    assert cells(panel, 1) == ["⚠ second", "1.0 s", "0.58", ""]
    assert cells(panel, 2) == ["first", "1.0 s", "0.87", ""]
    assert panel.heading.text() == "Results (3)"
    model = panel.result_table.model()
    assert model.index(2, 2).data(Qt.ItemDataRole.ForegroundRole) == theme.colors(panel).good
    assert "/out/third.wav" in model.index(0, 3).data(Qt.ItemDataRole.ToolTipRole)


def test_the_current_result_is_shown_from_the_start(panel):
    assert panel.result_table.currentIndex().row() == 2
    assert panel.similarity_value.text() == "0.87" and words(panel) == "Sounds like Alice"
    assert panel.result_waveform.duration == pytest.approx(1.0)


def test_an_empty_state_has_nothing_to_press(qtbot):
    panel = ResultPanel(ToolboxState())
    qtbot.addWidget(panel)
    assert panel.similarity_value.text() == "–" and words(panel) == "No clone to measure yet"
    buttons = (panel.play_result, panel.stop_result, panel.ab_result, panel.export_result, panel.rename_result,
               panel.delete_result)
    assert not any(button.isEnabled() for button in buttons) and not panel.output_combo.isEnabled()
    assert panel.result_waveform.is_empty() and "Choose a result" in panel.play_result.toolTip()


def test_choosing_a_row_is_told_and_the_states_own_choice_is_not(qtbot, panel, state):
    told = []
    panel.result_selected.connect(told.append)
    state.set_current_result(3)
    assert told == [] and panel.result_table.currentIndex().row() == 0 and words(panel) == "Being measured…"
    qtbot.keyClick(panel.result_table, Qt.Key.Key_Down)
    assert told == [2] and state.current_result.name == "second"


def test_what_comes_later_changes_the_row_and_the_number(panel, state):
    state.set_current_result(3)
    state.update_result(3, embed=VOICE.embed, score=score(0.7), name="renamed")
    assert cells(panel, 0) == ["renamed", "1.0 s", "0.70", "✓"] and panel.similarity_value.text() == "0.70"
    state.result_updated.emit(make_result(state, "of an unknown id"))
    state.update_result(3, score=None)
    assert words(panel) == "There is no recording to compare it with"


def test_a_new_result_comes_on_top_and_the_list_is_bounded(panel, state):
    for number in range(MAX_RESULTS + 5):
        state.add_result(make_result(state, f"result {number}"))
    assert panel.result_table.model().rowCount() == MAX_RESULTS
    assert cells(panel, 0)[0] == f"result {MAX_RESULTS + 4}"
    state.remove_results([result.id for result in state.results])
    assert panel.result_table.model().rowCount() == 0 and panel.heading.text() == "Results"


def test_play_compare_and_stop(qtbot, panel, state):
    with qtbot.waitSignal(panel.play_result_requested) as asked:
        panel.play_result.click()
    assert asked.args == [1] and not panel.stop_result.isEnabled()
    with qtbot.waitSignal(panel.play_reference_requested) as asked:
        panel.ab_result.click()
    assert asked.args == [1] and panel.ab_result.text() == "&Hear reference"
    state.set_playback(Playback("reference", 1, 0.2, 1.0))
    assert panel.ab_result.text() == "&Hear clone"
    with qtbot.waitSignal(panel.play_result_requested):
        panel.ab_result.click()
    with qtbot.waitSignal(panel.stop_requested):
        panel.stop_result.click()
    state.set_playback(None)
    assert panel.ab_result.text() == "&Hear reference"


def test_the_playhead_is_that_of_the_shown_clone_only(panel, state, monkeypatch):
    places = []
    monkeypatch.setattr(panel.result_waveform, "set_position", places.append)
    for playback in (Playback("result", 1, 0.5, 1), Playback("result", 77, 0.6, 1), Playback("reference", 1, 0.7, 1)):
        state.set_playback(playback)
    assert places == [0.5, None, None]


def test_a_voice_without_recording_and_a_machine_without_sound(panel, state):
    state.set_current_result(3)
    assert not panel.ab_result.isEnabled() and "no recording" in panel.ab_result.toolTip()
    assert panel.play_result.isEnabled()
    state.set_outputs(DeviceChoice(problem="No loudspeaker was found."))
    assert not panel.play_result.isEnabled() and "No loudspeaker" in panel.play_result.toolTip()
    assert panel.output_combo.toolTip() == "No loudspeaker was found." and panel.export_result.isEnabled()


def test_enter_and_double_click_play(qtbot, panel):
    with qtbot.waitSignal(panel.play_result_requested) as asked:
        qtbot.keyClick(panel.result_table, Qt.Key.Key_Return)
    assert asked.args == [1]
    panel.resize(480, 500)
    place = panel.result_table.visualRect(panel.result_table.model().index(1, 1)).center()
    with qtbot.waitSignal(panel.play_result_requested) as asked:
        qtbot.mouseClick(panel.result_table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.mouseDClick(panel.result_table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert asked.args == [2]


def test_export_and_delete_of_several(qtbot, panel):
    with qtbot.waitSignal(panel.export_requested) as asked:
        panel.export_result.click()
    assert asked.args == [1]
    panel.result_table.selectAll()
    assert "3 results" in panel.delete_result.toolTip()
    with qtbot.waitSignal(panel.results_deleted) as asked:
        qtbot.keyClick(panel.result_table, Qt.Key.Key_Delete)
    assert sorted(asked.args[0]) == [1, 2, 3]


def test_renaming_in_the_list_is_a_wish(qtbot, panel, state):
    panel.rename_result.click()
    editor = panel.result_table.findChild(QLineEdit)
    assert editor.text() == "first"
    editor.setText("  my  clone ")
    with qtbot.waitSignal(panel.result_renamed) as asked:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert asked.args == [1, "my clone"] and cells(panel, 2)[0] == "first"
    state.update_result(1, name="my clone")
    assert cells(panel, 2)[0] == "my clone"
    model = panel.result_table.model()
    assert not model.setData(model.index(2, 0), "   ")


def test_failed_sentences_can_be_said_again(qtbot, panel, state):
    assert not panel.failed_button.isVisible()
    state.set_current_result(2)
    assert panel.failed_button.isVisible() and "1 failed" in panel.failed_button.text()
    (action,) = panel.failed_button.menu().actions()
    assert "Sentence 1" in action.text() and action.toolTip() == "words were skipped"
    with qtbot.waitSignal(panel.segment_retry_requested) as asked:
        action.trigger()
    assert asked.args == [2, 1]
    state.set_activity(Activity("Synthesizing"))
    assert not panel.failed_button.isEnabled()


def test_output_devices(qtbot, panel, state):
    chosen = []
    panel.output_chosen.connect(chosen.append)
    assert panel.output_combo.currentText() == "Loudspeaker"
    qtbot.keyClick(panel.output_combo, Qt.Key.Key_Down)
    assert chosen == ["Headphones"]
    with qtbot.waitSignal(panel.refresh_devices_requested):
        panel.refresh_outputs.click()


@pytest.mark.parametrize("width", [140, 280, 600])
@pytest.mark.parametrize("other", [0.0, 0.5, 0.88, 0.97, 1.0])
def test_the_marks_of_the_scale_neither_overlap_nor_leave_it(qtbot, width, other):
    scale = SimilarityScale()
    qtbot.addWidget(scale)
    scale.set_score(score(0.8, 0.9, ("somebody with a long name", other)), "good")
    font = scale.font()
    font.setPixelSize(11)
    metrics = QFontMetrics(font)
    marks = scale.labels(width, metrics)
    assert [kind for *_, kind in marks] == (["other", "own"] if other <= 0.9 else ["own", "other"])
    (first, left, _, _), (second, right, _, _) = marks
    assert left >= 0 and left + metrics.horizontalAdvance(first) <= right
    assert f"{other:.2f}" in first + second
    assert right + metrics.horizontalAdvance(second) <= width


def test_the_explanation_needs_room_and_colors_follow_the_palette(panel):
    explanation = panel.findChild(QLabel, "similarity_explanation")
    assert explanation.isVisible() and "Strangers" in explanation.text()
    panel.resize(390, 259)
    assert not explanation.isVisible() and panel.ab_result.text() == "A/&B"
    for colors in (theme._DARK, theme._LIGHT):
        panel.setPalette(theme.palette_of(colors))
        assert panel.similarity_value.palette().windowText().color() == colors.good
        assert not panel.grab().isNull()


def test_it_fits_its_place(qtbot, qapp, state):
    before = qapp.font()
    font = qapp.font()
    font.setPointSize(10)
    qapp.setFont(font)
    try:
        panel = ResultPanel(state)
        qtbot.addWidget(panel)
        panel.setStyleSheet(theme.style_sheet(theme.colors(panel)))
        state.set_current_result(2)
        panel.resize(380, 240)
        panel.ensurePolished()
        panel.show()
        least = panel.minimumSizeHint()
        panel.hide()
    finally:
        qapp.setFont(before)
    assert least.width() <= 380 and least.height() <= 240
