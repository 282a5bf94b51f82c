"""The voice panel shows clips, recording and devices as the state has them, and says what the user wants."""

import time

import numpy as np
import pytest
from PyQt5.QtCore import QMimeData, QPoint, Qt, QUrl
from PyQt5.QtGui import QDropEvent
from PyQt5.QtWidgets import QComboBox, QLabel, QPushButton, QToolButton, QWidget

from toolbox.coaching import Coaching
from toolbox.state import Clip, DeviceChoice, Playback, Recording, ToolboxState, VoiceChoice
from toolbox.theme import DARK, LIGHT, apply_theme
from toolbox.views import dialogs
from toolbox.views.voice_panel import HINT, VoicePanel

LEFT = Qt.MouseButton.LeftButton
GOOD = Coaching(2.0, 1.8, -23.0, 0.0, 30.0, 7800.0, 0.94, "good", "1.8 s of speech: fine.")
POOR = Coaching(2.0, 0.4, -60.0, 0.0, None, None, None, "poor", "Only 0.4 s of speech.")
INTENTS = (
    "record_requested", "record_stop_requested", "load_requested", "files_dropped", "input_chosen",
    "refresh_devices_requested", "clip_selected", "speaker_selected", "play_clip_requested", "stop_requested",
    "trim_requested", "speaker_renamed", "clip_renamed", "clips_removed",
)


def clip(number, speaker, **fields):
    rng = np.random.default_rng(number)
    fields.setdefault("embed", np.abs(rng.normal(size=256)).astype(np.float32))
    return Clip(number, speaker, f"clip {number}", rng.normal(0, 0.1, 32000).astype(np.float32), **fields)


@pytest.fixture
def state(qapp):
    state = ToolboxState()
    state.set_inputs(DeviceChoice(("Built-in", "USB"), "USB"))
    state.add_clips([clip(1, "Anna", coaching=GOOD), clip(2, "Ben", coaching=POOR), clip(3, "Anna", embed=None)])
    state.set_current_clip(1)
    return state


@pytest.fixture
def panel(qtbot, state):
    panel = VoicePanel(state)
    qtbot.addWidget(panel)
    panel.resize(370, 675)
    panel.show()
    return panel


@pytest.fixture
def sent(panel):
    """Every intent, in order."""
    found = []
    for name in INTENTS:
        getattr(panel, name).connect(lambda *values, name=name: found.append((name, *values)))
    return found


@pytest.fixture
def themed(qapp):
    """``themed(DARK)`` gives the application a theme, and a font of 10 points, until the test ends."""
    before = qapp.palette(), qapp.styleSheet(), qapp.font()
    font = qapp.font()
    font.setPointSize(10)
    qapp.setFont(font)
    yield lambda name: apply_theme(qapp, name)
    qapp.setPalette(before[0])
    qapp.setStyleSheet(before[1])
    qapp.setFont(before[2])


def rows(panel):
    """(speaker, [clips]) as listed."""
    tree = panel.clips
    speakers = [tree.topLevelItem(row) for row in range(tree.topLevelItemCount())]
    return [(item.text(0), [item.child(row).text(0) for row in range(item.childCount())]) for item in speakers]


def row_of(panel, number):
    return panel.clips._clips[number]


def click(qtbot, panel, item, modifier=Qt.KeyboardModifier.NoModifier):
    panel.clips.scrollToItem(item)
    qtbot.mouseClick(panel.clips.viewport(), LEFT, modifier, panel.clips.visualItemRect(item).center())


def test_built_on_a_filled_state_it_shows_it(panel, state):
    assert rows(panel) == [("Anna", ["clip 1", "clip 3"]), ("Ben", ["clip 2"])]
    assert panel.clips.currentItem() is row_of(panel, 1)
    assert panel.box.title.text() == "Anna · clip 1"
    assert panel.box.coaching.text() == GOOD.advice
    assert panel.inputs.currentText() == "USB"
    assert panel.timer.text() == HINT
    assert not panel.box.waveform.is_empty() and not panel.box.embed.is_empty()


@pytest.mark.parametrize("name", [
    "record_button", "load_button", "input_combo", "clip_tree", "play_clip", "stop_clip", "trim_clip", "rename_clip",
    "remove_clip", "coaching_line", "clip_waveform", "clip_mel", "clip_embed",
])
def test_its_parts_have_names(panel, name):
    assert panel.findChild(QWidget, name) is not None


def test_showing_the_state_sends_nothing(panel, state, sent):
    state.set_current_clip(2)
    state.add_clips([clip(9, "Zoe")])
    state.update_clip(1, speaker="Zoe")
    state.remove_clips([2])
    state.set_voice(VoiceChoice("speaker", "Zoe", None))
    state.set_current_clip(None)
    state.set_recording(Recording(1.0, -20, -6))
    state.set_recording(None)
    state.set_inputs(DeviceChoice(problem="None."))
    assert sent == []


def test_it_fits_the_smallest_window(panel, themed):
    themed(DARK)
    assert panel.minimumSizeHint().width() <= 320
    assert panel.minimumSizeHint().height() <= 560


def test_choosing_clips_and_speakers(qtbot, panel, sent):
    click(qtbot, panel, row_of(panel, 2))
    click(qtbot, panel, row_of(panel, 1).parent())
    qtbot.keyClick(panel.clips, Qt.Key.Key_Down)
    assert sent == [("clip_selected", 2), ("speaker_selected", "Anna"), ("clip_selected", 1)]


def test_a_click_on_the_current_row_chooses_it_again(qtbot, panel, sent):
    click(qtbot, panel, row_of(panel, 1))
    assert sent == [("clip_selected", 1)]


def test_the_voice_is_marked(panel, state):
    state.set_voice(VoiceChoice("clip", "Anna", None, (1,)))
    assert row_of(panel, 1).font(0).bold() and row_of(panel, 1).text(1) == "voice · 2.0 s"
    state.set_voice(VoiceChoice("speaker", "Anna", None, (1, 3)))
    speaker = row_of(panel, 1).parent()
    assert speaker.font(0).bold() and speaker.text(1) == "voice"
    assert "mean of 2 clips is the voice" in speaker.toolTip(0)
    assert not row_of(panel, 1).font(0).bold()
    state.set_voice(VoiceChoice("saved", "Anna", None))
    assert not speaker.font(0).bold() and speaker.text(1) == "2 clips"


def test_clips_come_change_and_go(panel, state):
    row_of(panel, 2).parent().setExpanded(False)
    state.add_clips([clip(4, "Zoe")])
    state.update_clip(3, embed=np.ones(256, dtype=np.float32))
    state.update_clip(1, speaker="Ben")
    state.remove_clips([4])
    assert rows(panel) == [("Ben", ["clip 2", "clip 1"]), ("Anna", ["clip 3"])]
    assert row_of(panel, 3).text(1) == "2.0 s"
    state.clip_updated.emit(clip(99, "Nobody"))
    state.remove_clips([1, 2, 3])
    assert rows(panel) == [] and panel.box.title.text() == "No clip"
    assert not panel.clips.grab().isNull()


def test_coaching_line(panel, state):
    state.set_current_clip(2)
    assert panel.box.coaching.text() == POOR.advice
    assert "Speech: 0.4 s of 2.0 s" in panel.box.coaching.toolTip()
    poor = panel.box.coaching.palette().color(panel.box.coaching.foregroundRole())
    state.set_current_clip(3)
    assert panel.box.coaching.text() == "Computing the embedding…"
    assert panel.box.coaching.palette().color(panel.box.coaching.foregroundRole()) != poor
    state.update_clip(3, problem="The clip is silent.")
    assert panel.box.coaching.text() == "The clip is silent." and row_of(panel, 3).text(1) == "no voice"
    state.set_current_clip(None)
    assert "enough" in panel.box.coaching.text()


def test_play_trim_and_stop(qtbot, panel, state, sent):
    play, stop, trim = (panel.findChild(kind, name) for kind, name in (
        (QToolButton, "play_clip"), (QToolButton, "stop_clip"), (QPushButton, "trim_clip")))
    assert not trim.isEnabled() and "Select" in trim.toolTip() and not stop.isEnabled()
    qtbot.mouseClick(play, LEFT)
    panel.box.waveform.set_selection(0.5, 1.5)
    qtbot.mouseClick(play, LEFT)
    qtbot.mouseClick(trim, LEFT)
    state.set_playback(Playback("clip", 1, 0.5, 2.0))
    qtbot.mouseClick(stop, LEFT)
    panel.box.waveform.seek_requested.emit(0.75)
    qtbot.keyClick(panel.clips, Qt.Key.Key_Return)
    assert sent == [
        ("play_clip_requested", 1, None), ("play_clip_requested", 1, (0.5, 1.5)), ("trim_requested", 1, 0.5, 1.5),
        ("stop_requested",), ("play_clip_requested", 1, (0.75, 2.0)), ("play_clip_requested", 1, None),
    ]


def test_the_playhead_is_that_of_this_clip(panel, state):
    state.set_playback(Playback("clip", 1, 1.0, 2.0))
    assert panel.box.waveform._position == 1.0 and panel.box.mel._position == 0.5
    state.set_playback(Playback("clip", 2, 1.0, 2.0))
    assert panel.box.waveform._position is None
    state.set_playback(Playback("result", 1, 1.0, 2.0))
    assert panel.box.waveform._position is None and not panel.box.stop.isEnabled()
    state.set_playback(None)


def test_a_trimmed_clip_loses_the_selection_an_embedded_one_keeps_it(panel, state):
    panel.box.waveform.set_selection(0.5, 1.5)
    state.update_clip(1, mel=np.zeros((80, 161), dtype=np.float32))
    assert panel.box.waveform.selection == (0.5, 1.5) and not panel.box.mel.is_empty()
    state.update_clip(1, wav=state.clip(1).wav[8000:24000])
    assert panel.box.waveform.selection is None and not panel.box.trim.isEnabled()


def test_recording(qtbot, panel, state, sent):
    record = panel.findChild(QPushButton, "record_button")
    qtbot.mouseClick(record, LEFT)
    assert not record.isChecked()
    state.set_recording(Recording(3.21, -20.0, -6.0))
    assert record.isChecked() and record.text() == "Stop" and panel.timer.text() == "3.2 s of 60 s"
    assert panel.meter.peak == -6.0 and not panel.inputs.isEnabled()
    qtbot.mouseClick(record, LEFT)
    state.set_recording(None)
    assert sent == [("record_requested",), ("record_stop_requested",)]
    assert not record.isChecked() and record.text() == "Rec&ord" and panel.meter.peak < -60


def test_devices(qtbot, panel, state, sent):
    panel.findChild(QComboBox, "input_combo").textActivated.emit("Built-in")
    qtbot.mouseClick(panel.refresh, LEFT)
    assert sent == [("input_chosen", "Built-in"), ("refresh_devices_requested",)]
    state.set_inputs(DeviceChoice(problem="No microphone was found."))
    notice = panel.findChild(QLabel, "input_notice")
    assert not panel.record.isEnabled() and not panel.inputs.isEnabled()
    assert notice.isVisible() and notice.text() == "No microphone was found." == panel.record.toolTip()
    assert panel.load.isEnabled() and panel.refresh.isEnabled()
    state.set_inputs(DeviceChoice(("USB",), "USB"))
    assert panel.record.isEnabled() and not notice.isVisible() and panel.meter.isVisible()


def test_rename_a_speaker_and_a_clip(qtbot, panel, monkeypatch, sent):
    asked = []

    def rename(parent, title, label, text):
        asked.append(text)
        return "Carla"

    monkeypatch.setattr(dialogs, "rename", rename)
    qtbot.mouseClick(panel.findChild(QPushButton, "rename_clip"), LEFT)
    click(qtbot, panel, row_of(panel, 2).parent())
    qtbot.keyClick(panel.clips, Qt.Key.Key_F2)
    monkeypatch.setattr(dialogs, "rename", lambda *_: None)
    qtbot.keyClick(panel.clips, Qt.Key.Key_F2)
    assert asked == ["Anna", "Ben"]
    assert sent == [("clip_renamed", 1, "Carla"), ("speaker_selected", "Ben"), ("speaker_renamed", "Ben", "Carla")]


def test_remove_what_is_selected(qtbot, panel, state, sent):
    click(qtbot, panel, row_of(panel, 2))
    click(qtbot, panel, row_of(panel, 3), Qt.KeyboardModifier.ControlModifier)
    sent.clear()
    qtbot.keyClick(panel.clips, Qt.Key.Key_Delete)
    click(qtbot, panel, row_of(panel, 1).parent())
    qtbot.mouseClick(panel.findChild(QPushButton, "remove_clip"), LEFT)
    assert sent == [("clips_removed", [3, 2]), ("speaker_selected", "Anna"), ("clips_removed", [1, 3])]


def test_without_clips_nothing_can_be_done_to_one(qtbot):
    panel = VoicePanel(ToolboxState())
    qtbot.addWidget(panel)
    for name in ("play_clip", "stop_clip", "trim_clip", "rename_clip", "remove_clip"):
        button = panel.findChild(QToolButton, name) or panel.findChild(QPushButton, name)
        assert not button.isEnabled() and "\n" in button.toolTip()
    panel.clips.remove_requested.emit()


def test_files_and_folders_are_dropped(panel, sent):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/a/b.wav"), QUrl.fromLocalFile("/c"), QUrl("https://example.org/d.wav")])
    event = QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    panel.dropEvent(event)
    assert sent == [("files_dropped", ["/a/b.wav", "/c"])]
    data.clear()
    panel.dropEvent(event)
    assert len(sent) == 1


def test_load(qtbot, panel, sent):
    qtbot.mouseClick(panel.findChild(QPushButton, "load_button"), LEFT)
    assert sent == [("load_requested",)]


def test_two_hundred_clips_stay_fast(panel, state):
    state.add_clips([clip(100 + number, f"speaker {number % 50}") for number in range(190)])
    started = time.perf_counter()
    state.add_clips([clip(400, "speaker 7")])
    state.update_clip(400, problem="The clip is silent.")
    state.set_current_clip(400)
    panel.grab()
    # Measured 0.03 s beside two busy processes.
    assert time.perf_counter() - started < 0.3


def test_icons_and_colours_follow_the_palette(panel, themed):
    shades = []
    for theme in (DARK, LIGHT):
        themed(theme)
        image = panel.box.play.icon().pixmap(16, 16).toImage()
        shades.append(image.pixelColor(image.width() * 3 // 8, image.height() // 2).lightness())
    assert shades[0] > shades[1] + 100
