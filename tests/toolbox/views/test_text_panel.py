"""The text panel: what it shows of the state, when its buttons may be pressed, and what it asks for."""

import numpy as np
import pytest
from PyQt5.QtCore import QMimeData, Qt
from PyQt5.QtWidgets import QPushButton

from toolbox.state import (
    Activity,
    DeviceChoice,
    ModelChoice,
    SegmentInfo,
    Take,
    ToolboxState,
    VoiceChoice,
)
from toolbox.views.pieces import first_words
from toolbox.views.text_panel import TextPanel, count_words, voice_words

VOICE = VoiceChoice("speaker", "Alice", np.full(256, 1 / 16, np.float32), (1, 2, 3))


def make_take(*ok):
    frames = [np.zeros((80, 20), np.float32) for _ in ok]
    why = ("words were repeated",)
    segments = tuple(SegmentInfo(f"Sentence number {i}.", good, () if good else why) for i, good in enumerate(ok))
    alignments = tuple(np.eye(10, 8, dtype=np.float32) for _ in ok)
    return Take("text", VOICE, 7, tuple(frames), alignments, segments, (0.0,) * len(ok))


@pytest.fixture
def state():
    return ToolboxState()


@pytest.fixture
def panel(qtbot, state):
    panel = TextPanel(state)
    qtbot.addWidget(panel)
    panel.resize(480, 370)
    panel.show()
    yield panel
    panel.hide()


@pytest.fixture
def ready(panel, state):
    """A panel on which Clone may be pressed."""
    state.set_voice(VOICE)
    state.set_text("Hello there.")
    return panel


def caught(signal):
    """What the signal has sent so far, as a list that grows."""
    sent = []
    signal.connect(lambda *args: sent.append(args[0] if len(args) == 1 else args))
    return sent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 characters · 0 sentences"),
        ("Hi", "2 characters · 1 sentence · about 1 s"),
        ("One. Two!  Three?\nFour", "21 characters · 4 sentences · about 2 s"),
        ("It cost 3.50 dollars...", "23 characters · 1 sentence · about 2 s"),
        ("a" * 14 * 75, "1,050 characters · 1 sentence · about 1 min 15 s"),
        ("... !", "5 characters · 0 sentences"),
    ],
)
def test_the_length_in_words(text, words):
    assert count_words(text) == words


def test_voices_in_words():
    assert voice_words(None) == "Choose or record a voice first"
    assert voice_words(VOICE) == "Voice: Alice (3 clips)"
    assert voice_words(VoiceChoice("clip", "Bob", None, (4,))) == "Voice: Bob (1 clip), being computed…"
    assert voice_words(VoiceChoice("saved", "Carol", VOICE.embed)) == "Voice: Carol (saved voice)"


def test_first_words_end_at_a_word():
    assert first_words("Short one.") == "“Short one.”"
    assert first_words("The quick brown fox, and others", 20) == "“The quick brown fox…”"


def test_a_filled_state_is_shown_from_the_start(qtbot, state):
    state.set_voice(VOICE)
    state.set_text("Hello there.")
    state.set_take(make_take(True, False))
    state.set_models(ModelChoice("vocoder", ("default", "griffin-lim"), "griffin-lim", ("12 MB", "no model")))
    state.set_compute_devices(DeviceChoice(("cpu",), "cpu"))
    state.set_option("trim_silences", True)
    panel = TextPanel(state)
    qtbot.addWidget(panel)
    assert panel.text_edit.toPlainText() == "Hello there."
    assert panel.voice_line.text() == "Voice: Alice (3 clips)"
    assert panel.count_line.text().startswith("12 characters")
    assert panel.vocoder_combo.currentText() == "griffin-lim" and "no model" in panel.vocoder_combo.toolTip()
    assert panel.compute_combo.currentText() == "cpu" and panel.trim_silences.isChecked()
    assert not panel.take_alignment.is_empty() and not panel.take_mel.is_empty()
    assert panel.clone_button.isEnabled() and panel.vocode_button.isEnabled()
    assert not panel.encoder_combo.isEnabled()


def test_buttons_follow_text_voice_take_and_activity(panel, state):
    buttons = (panel.clone_button, panel.synthesize_button, panel.vocode_button, panel.cancel_button)

    def enabled():
        return [button.isEnabled() for button in buttons]

    assert enabled() == [False] * 4 and "voice first" in panel.clone_button.toolTip()
    state.set_voice(VoiceChoice("clip", "Alice", None, (1,)))
    state.set_text("Hello")
    assert enabled() == [False] * 4 and "being computed" in panel.clone_button.toolTip()
    state.set_voice(VOICE)
    assert enabled() == [True, True, False, False]
    state.set_take(make_take(True))
    assert enabled() == [True, True, True, False]
    state.set_activity(Activity("Cloning"))
    assert enabled() == [False, False, False, True]
    state.set_activity(Activity("Cloning", cancelling=True))
    assert enabled() == [False] * 4
    state.set_activity(None)
    state.set_text("…")
    assert enabled() == [False, False, True, False] and "Type a text" in panel.clone_button.toolTip()
    state.set_voice(None)
    assert panel.voice_line.text() == "Choose or record a voice first"


def test_typing_is_told_once_after_a_short_while(qtbot, panel):
    told = caught(panel.text_edited)
    qtbot.keyClicks(panel.text_edit, "Hello")
    assert told == [] and panel.count_line.text().startswith("5 characters")
    qtbot.waitUntil(lambda: told == ["Hello"], timeout=2000)


def test_the_text_is_told_before_a_clone_is_asked_for(qtbot, ready, state):
    order = []
    ready.text_edited.connect(lambda text: (order.append(text), state.set_text(text)))
    ready.clone_requested.connect(lambda: order.append("clone"))
    ready.synthesize_requested.connect(lambda: order.append("synthesize"))
    ready.text_edit.setPlainText("Other words")
    qtbot.mouseClick(ready.clone_button, Qt.MouseButton.LeftButton)
    ready.text_edit.setPlainText("More words")
    ready.synthesize_button.click()
    assert order == ["Other words", "clone", "More words", "synthesize"]


def test_control_enter_clones_and_writes_no_line(qtbot, ready):
    with qtbot.waitSignal(ready.clone_requested):
        qtbot.keyClick(ready.text_edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert ready.text_edit.toPlainText() == "Hello there."


def test_what_is_disabled_cannot_be_asked_for(ready, state):
    asked = caught(ready.clone_requested) + caught(ready.vocode_requested)
    state.set_activity(Activity("Cloning"))
    ready.request_clone()
    ready.request_vocode()
    assert asked == []


def test_cancel_and_vocode(qtbot, ready, state):
    state.set_take(make_take(True))
    with qtbot.waitSignal(ready.vocode_requested):
        ready.vocode_button.click()
    state.set_activity(Activity("Vocoding"))
    with qtbot.waitSignal(ready.cancel_requested):
        ready.cancel_button.click()


def test_the_same_text_from_outside_leaves_the_cursor(qtbot, ready, state):
    ready.text_edited.connect(state.set_text)
    cursor = ready.text_edit.textCursor()
    cursor.setPosition(3)
    ready.text_edit.setTextCursor(cursor)
    qtbot.keyClicks(ready.text_edit, "X")
    ready.flush()
    assert state.text == "HelXlo there." and ready.text_edit.textCursor().position() == 4


def test_another_text_from_outside_can_be_undone_and_is_not_told_back(ready, state):
    told = caught(ready.text_edited)
    state.set_text("Recovered text.")
    assert ready.text_edit.toPlainText() == "Recovered text." and ready.count_line.text().startswith("15 ")
    ready.flush()
    assert told == []
    ready.text_edit.undo()
    assert ready.text_edit.toPlainText() == "Hello there."


def test_hiding_tells_what_was_typed_and_stops_the_timer(qtbot, panel):
    told = caught(panel.text_edited)
    qtbot.keyClicks(panel.text_edit, "Bye")
    panel.hide()
    assert told == ["Bye"]


def test_pasted_rich_text_becomes_plain(panel):
    rich = QMimeData()
    rich.setHtml("<b>bold</b> words")
    rich.setText("bold words")
    panel.text_edit.insertFromMimeData(rich)
    assert panel.text_edit.toPlainText() == "bold words"


def test_options_are_asked_for_and_shown(qtbot, panel, state):
    changes = caught(panel.option_changed)
    panel.option_changed.connect(state.set_option)
    assert not panel.seed_spin.isEnabled() and not panel.seed_new.isEnabled()
    for check in (panel.seed_check, panel.trim_silences, panel.auto_play):
        check.click()
    assert changes == [("use_seed", True), ("trim_silences", True), ("auto_play", False)]
    panel.seed_spin.setValue(2**31 - 1)
    assert changes[-1] == ("seed", 2**31 - 1) and state.seed == 2**31 - 1
    panel.seed_new.click()
    assert changes[-1][0] == "seed" and 0 <= changes[-1][1] < 1_000_000
    assert panel.seed_spin.value() == state.seed
    count = len(changes)
    state.set_option("seed", 5)
    assert panel.seed_spin.value() == 5 and len(changes) == count
    panel.text_edit.setPlainText("a" * 140)
    panel.speed_spin.setValue(50)
    assert changes[-1] == ("speed_percent", 50) and state.speed == 0.5
    assert panel.count_line.text().endswith("about 20 s")
    state.set_option("speed_percent", 999)
    assert state.speed_percent == panel.speed_spin.value() == 200


def test_a_seed_still_being_typed_counts(qtbot, ready, state):
    ready.option_changed.connect(state.set_option)
    state.set_option("use_seed", True)
    ready.seed_spin.lineEdit().setText("123")
    ready.request_clone()
    assert state.seed == 123


def test_models_and_device_are_chosen_by_the_user_only(qtbot, panel, state):
    chosen, devices = caught(panel.model_chosen), caught(panel.compute_device_chosen)
    state.set_models(ModelChoice("synthesizer", ("default", "other"), "default", ("12 MB", "20 MB")))
    state.set_compute_devices(DeviceChoice(("cpu", "cuda"), "cuda"))
    assert chosen == devices == [] and panel.compute_combo.currentText() == "cuda"
    panel.synthesizer_combo.setFocus()
    qtbot.keyClick(panel.synthesizer_combo, Qt.Key.Key_Down)
    qtbot.keyClick(panel.compute_combo, Qt.Key.Key_Up)
    assert chosen == [("synthesizer", "other")] and devices == ["cpu"]
    state.set_models(ModelChoice("synthesizer"))
    assert panel.synthesizer_combo.currentText() == "No synthesizer" and not panel.synthesizer_combo.isEnabled()


def test_failed_sentences_stand_in_a_list_that_takes_no_room_otherwise(qtbot, panel, state):
    failed = panel.failed_segments
    state.set_take(make_take(True, True))
    assert not failed.isVisible()
    state.set_take(make_take(True, False, False, True, False))
    names = [button.objectName() for button in failed.findChildren(QPushButton)]
    assert failed.isVisible() and names == ["say_again_1", "say_again_2", "say_again_4"]
    assert failed.sizeHint().height() < 3 * failed.findChild(QPushButton, "say_again_1").sizeHint().height()
    with qtbot.waitSignal(panel.segment_retry_requested) as asked:
        failed.findChild(QPushButton, "say_again_2").click()
    assert asked.args == [2]
    state.set_activity(Activity("Synthesizing"))
    assert not failed.findChild(QPushButton, "say_again_2").isEnabled()
    state.set_take(None)
    assert not failed.isVisible() and panel.take_alignment.is_empty() and panel.take_mel.is_empty()


def test_replacing_the_take_from_say_again_itself_is_safe(qtbot, panel, state):
    state.set_take(make_take(False, True))
    panel.segment_retry_requested.connect(lambda index: state.set_take(make_take(True, True)))
    qtbot.mouseClick(panel.failed_segments.findChild(QPushButton, "say_again_0"), Qt.MouseButton.LeftButton)
    assert not panel.failed_segments.isVisible()


def test_it_fits_its_place(qtbot, qapp, state):
    from toolbox.theme import colors, style_sheet

    before = qapp.font()
    font = qapp.font()
    font.setPointSize(10)
    qapp.setFont(font)
    try:
        panel = TextPanel(state)
        qtbot.addWidget(panel)
        panel.setStyleSheet(style_sheet(colors(panel)))
        state.set_take(make_take(False, False, False))
        panel.ensurePolished()
        least = panel.minimumSizeHint()
    finally:
        qapp.setFont(before)
    assert least.width() <= 380 and least.height() <= 300
