"""Saved voices, blends and random voices."""

import numpy as np
import pytest
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QTreeWidget,
)

from toolbox.state import Clip, ToolboxState, VoiceChoice
from toolbox.views import dialogs
from toolbox.views.voices_panel import SaveVoiceDialog, VoicesPanel, voice_tip
from toolbox.voices import Consent, Voice

EMBED = np.full(256, 1 / 16, np.float32)


def voice(name, agreed=True, notes=""):
    consent = Consent(True, "2026-03-12T10:00:00+01:00") if agreed else Consent()
    return Voice(name, EMBED, notes, "3 recordings", "2026-03-11T10:00:00+01:00", consent)


def clip(number, speaker, embed=EMBED):
    return Clip(number, speaker, f"{speaker} {number}", np.zeros(16, np.float32), embed=embed)


@pytest.fixture
def state():
    return ToolboxState()


@pytest.fixture
def panel(qtbot, state):
    widget = VoicesPanel(state)
    qtbot.addWidget(widget)
    widget.resize(300, 300)
    widget.show()
    return widget


def button(panel, name):
    return panel.findChild(QPushButton, name)


def select(panel, row):
    tree = panel.findChild(QTreeWidget, "saved_voices")
    tree.setCurrentItem(tree.topLevelItem(row))


def rows(panel):
    tree = panel.findChild(QTreeWidget, "saved_voices")
    return [tree.topLevelItem(row) for row in range(tree.topLevelItemCount())]


def test_a_filled_state_is_shown(qtbot, state):
    state.set_saved_voices([voice("Anna"), voice("Ben", agreed=False)])
    state.set_voice(VoiceChoice("saved", "Ben", EMBED))
    panel = VoicesPanel(state)
    qtbot.addWidget(panel)
    anna, ben = rows(panel)
    assert (anna.text(0), ben.text(0), ben.text(2)) == ("Anna", "Ben", "no")
    assert "2026" in anna.text(1) and "2026" in anna.text(2)
    assert ben.font(0).bold() and not anna.font(0).bold()
    state.set_voice(VoiceChoice("clip", "Ben", EMBED))
    assert not ben.font(0).bold()


def test_the_tooltip_says_what_is_known_and_no_tag_of_a_name_counts():
    said = voice_tip(voice("<b>Anna", notes="calm & slow\nsecond line"))
    assert "&lt;b&gt;Anna" in said and "calm &amp; slow<br>second line" in said
    assert "3 recordings" in said and "agreed, " in said
    assert "no agreement" in voice_tip(voice("Ben", agreed=False))


def test_buttons_wait_for_a_selection_and_say_so(panel, state):
    state.set_saved_voices([voice("Anna")])
    names = ("use_voice", "rename_voice", "delete_voice", "export_voice")
    for name in names:
        assert not button(panel, name).isEnabled()
        assert "Select a saved voice first" in button(panel, name).toolTip()
    assert button(panel, "import_voice").isEnabled() and button(panel, "random_voice").isEnabled()
    select(panel, 0)
    assert all(button(panel, name).isEnabled() for name in names)


def test_saving_needs_a_voice_with_its_embedding(panel, state, qtbot):
    save = button(panel, "save_voice")
    assert not save.isEnabled() and "Choose or record" in save.toolTip()
    state.set_voice(VoiceChoice("clip", "Anna", None))
    assert not save.isEnabled() and "being computed" in save.toolTip()
    state.set_voice(VoiceChoice("clip", "Anna", EMBED))
    with qtbot.waitSignal(panel.save_requested):
        qtbot.mouseClick(save, Qt.MouseButton.LeftButton)


def test_using_exporting_importing_and_random(panel, state, qtbot):
    state.set_saved_voices([voice("Anna"), voice("Ben")])
    select(panel, 1)
    with qtbot.waitSignal(panel.voice_used) as sent:
        qtbot.mouseClick(button(panel, "use_voice"), Qt.MouseButton.LeftButton)
    assert sent.args == ["Ben"]
    with qtbot.waitSignal(panel.export_requested) as sent:
        qtbot.mouseClick(button(panel, "export_voice"), Qt.MouseButton.LeftButton)
    assert sent.args == ["Ben"]
    with qtbot.waitSignal(panel.import_requested):
        qtbot.mouseClick(button(panel, "import_voice"), Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(panel.random_requested):
        qtbot.mouseClick(button(panel, "random_voice"), Qt.MouseButton.LeftButton)


def test_renaming_asks_for_the_name(panel, state, qtbot, monkeypatch):
    state.set_saved_voices([voice("Anna")])
    select(panel, 0)
    monkeypatch.setattr(dialogs, "rename", lambda parent, title, label, text: None)
    with qtbot.assertNotEmitted(panel.voice_renamed):
        button(panel, "rename_voice").click()
    monkeypatch.setattr(dialogs, "rename", lambda parent, title, label, text: text + " Maria")
    with qtbot.waitSignal(panel.voice_renamed) as sent:
        qtbot.keyClick(panel.findChild(QTreeWidget), Qt.Key.Key_F2)
    assert sent.args == ["Anna", "Anna Maria"]


@pytest.mark.parametrize("sure", [True, False])
def test_deleting_is_confirmed(panel, state, qtbot, sure):
    state.set_saved_voices([voice("Anna")])
    select(panel, 0)
    told = []
    panel.voice_deleted.connect(told.append)
    button(panel, "delete_voice").click()
    box = QApplication.activeModalWidget()
    assert "Anna" in box.text() and told == []
    buttons = {each.text().replace("&", ""): each for each in box.findChildren(QPushButton)}
    buttons["Delete" if sure else "Cancel"].click()
    assert told == (["Anna"] if sure else [])


def test_the_selection_outlives_a_new_list(panel, state):
    state.set_saved_voices([voice("Anna"), voice("Ben")])
    select(panel, 1)
    state.set_saved_voices([voice("Anna"), voice("Ann"), voice("Ben")])
    assert panel.selected == "Ben"
    state.set_saved_voices([voice("Anna")])
    assert panel.selected is None
    assert not button(panel, "use_voice").isEnabled()


def test_a_blend_is_made_of_speakers_and_saved_voices(panel, state, qtbot):
    a, b = panel.findChild(QComboBox, "blend_a"), panel.findChild(QComboBox, "blend_b")
    use, slider = button(panel, "use_blend"), panel.findChild(QSlider, "blend_slider")
    assert not use.isEnabled() and not slider.isEnabled()
    state.add_clips([clip(1, "Cara"), clip(2, "Dora", embed=None)])
    assert a.count() == 1 and not use.isEnabled()
    state.set_saved_voices([voice("Anna")])
    assert [a.itemData(row) for row in range(a.count())] == ["speaker:Cara", "saved:Anna"]
    assert (a.currentData(), b.currentData()) == ("speaker:Cara", "saved:Anna")
    slider.setValue(30)
    assert panel.findChild(QLabel, "blend_share").text() == "70 % and 30 %"
    with qtbot.waitSignal(panel.blend_requested) as sent:
        qtbot.mouseClick(use, Qt.MouseButton.LeftButton)
    assert sent.args == ["speaker:Cara", "saved:Anna", pytest.approx(0.3)]
    b.setCurrentIndex(0)
    assert not use.isEnabled() and "two different" in use.toolTip()
    b.setCurrentIndex(1)
    state.update_clip(2, embed=EMBED)
    assert a.findData("speaker:Dora") >= 0
    assert (a.currentData(), b.currentData()) == ("speaker:Cara", "saved:Anna")


@pytest.mark.parametrize("width", [310, 340, 500])
def test_nothing_is_cut_off_at_the_side(panel, state, qapp, width):
    state.set_saved_voices([voice(f"A voice with a long name {i}") for i in range(40)])
    state.add_clips([clip(i, f"A speaker with a long name {i}") for i in range(10)])
    panel.resize(width, 220)
    qapp.processEvents()
    for name in ("import_voice", "export_voice", "random_voice"):
        each = button(panel, name)
        assert each.mapTo(panel, each.rect().topRight()).x() < width
        assert each.width() >= each.minimumSizeHint().width()


def test_a_voice_is_not_saved_without_the_owners_word(qtbot):
    dialog = SaveVoiceDialog("Anna", "Anna", source="3 recordings", taken=["Ben"])
    qtbot.addWidget(dialog)
    save, agreed = dialog.findChild(QPushButton, "voice_save"), dialog.findChild(QCheckBox, "voice_agreed")
    assert not save.isEnabled()
    agreed.setChecked(True)
    assert save.isEnabled() and save.text() == "&Save"
    dialog.findChild(QLineEdit, "voice_name").setText("  ")
    assert not save.isEnabled()
    dialog.findChild(QLineEdit, "voice_name").setText(" ben ")
    assert save.isEnabled() and save.text() == "&Replace" and dialog.replaces
    dialog.findChild(QPlainTextEdit, "voice_notes").setPlainText("calm\n")
    assert dialog.values() == ("ben", "calm", "3 recordings", True)
    with qtbot.waitSignal(dialog.accepted):
        save.click()
