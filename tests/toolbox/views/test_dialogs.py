"""Errors, questions and information in dialogs."""

import pytest
from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QApplication, QDialogButtonBox, QLabel, QMessageBox, QPlainTextEdit, QPushButton, QWidget

import toolbox
from toolbox.views import dialogs


@pytest.fixture
def window(qtbot):
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    yield widget
    widget.close()


def answer(qtbot, act):
    """Act on the dialog that is open a moment later, as the user would."""

    def run():
        dialog = QApplication.activeModalWidget()
        act(dialog)

    QTimer.singleShot(0, run)


def press(dialog, words):
    buttons = {button.text().replace("&", ""): button for button in dialog.findChildren(QPushButton)}
    buttons[words].click()


def test_an_error_is_said_without_waiting(window, qtbot):
    dialog = dialogs.show_error(QWidget(window), "The file a.wav cannot be read.", "Traceback", "Try another one.")
    assert dialog.isVisible() and dialog.parent() is window
    assert dialog.findChild(QLabel, "error_text").text() == "The file a.wav cannot be read."
    assert dialog.findChild(QLabel, "error_advice").text() == "Try another one."
    details = dialog.findChild(QPlainTextEdit, "error_details")
    assert not details.isVisible()
    press(dialog, "Details")
    assert details.isVisible() and "Traceback" in details.toPlainText()
    press(dialog, "Copy")
    assert QApplication.clipboard().text() == "The file a.wav cannot be read.\nTry another one.\nTraceback"
    with qtbot.waitSignal(dialog.destroyed):
        press(dialog, "Close")


def test_without_details_there_is_nothing_to_unfold(window):
    dialog = dialogs.show_error(window, "The clip is silent.")
    assert not dialog.findChild(QPushButton, "error_more").isEnabled()
    dialog.accept()


def test_a_repeated_error_is_shown_once(window, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(dialogs.time, "monotonic", lambda: now[0])
    first = dialogs.show_error(window, "The device was lost.")
    assert dialogs.show_error(window, "The device was lost.") is first
    assert first.texts == ("The device was lost.",)
    first.accept()
    now[0] += 1.0
    assert dialogs.show_error(window, "The device was lost.") is None
    now[0] += 2.5
    again = dialogs.show_error(window, "The device was lost.")
    assert again is not None
    again.accept()


def test_many_errors_are_one_dialog(window):
    shown = {id(dialogs.show_error(window, f"The file {i}.wav cannot be read.", f"details {i}")) for i in range(50)}
    assert len(shown) == 1
    dialog = window.findChild(dialogs.ErrorDialog)
    text = dialog.findChild(QLabel, "error_text").text()
    assert "3.wav" in text and "4.wav" not in text and "46 more" in text
    assert "details 49" in dialog.report()
    assert dialog.sizeHint().height() < 500
    dialog.accept()


def test_an_error_without_a_window_has_its_own_dialog(qtbot):
    dialog = dialogs.show_error(None, "No display <b>here</b>" + "!" * 3000)
    qtbot.addWidget(dialog)
    assert dialog.findChild(QLabel, "error_text").text().startswith("No display <b>here</b>!!")
    assert len(dialog.findChild(QLabel, "error_text").text()) <= dialogs.LONGEST
    dialog.accept()


@pytest.mark.parametrize(
    ("words", "expected"), [("Export all…", "save"), ("Discard", "discard"), ("Cancel", "cancel"), (None, "cancel")]
)
def test_unsaved_results_are_asked_about(window, qtbot, words, expected):
    seen = []

    def act(box):
        seen.append(box.text() + box.informativeText())
        press(box, words) if words else box.reject()

    answer(qtbot, act)
    assert dialogs.ask_unsaved(window, [f"Anna: <hello> {i}" for i in range(9)]) == expected
    assert "9 results" in seen[0] and "&lt;hello&gt; 3" in seen[0] and "… and 5 more" in seen[0]


def test_one_unsaved_result(window, qtbot):
    answer(qtbot, lambda box: press(box, "Export…"))
    assert dialogs.ask_unsaved(window, ["Anna: hello"]) == "save"


@pytest.mark.parametrize(("words", "expected"), [("Recover", True), ("Start afresh", False), (None, False)])
def test_a_crashed_session_is_offered(window, qtbot, words, expected):
    answer(qtbot, lambda box: press(box, words) if words else box.reject())
    assert dialogs.ask_recover(window, "3 clips, 2 results") is expected


@pytest.mark.parametrize(("words", "calls"), [("Delete", 1), ("Cancel", 0)])
def test_what_cannot_be_undone_is_confirmed(window, words, calls):
    done = []
    box = dialogs.confirm(window, "Delete the voice Anna?", "&Delete", lambda: done.append(1))
    assert isinstance(box, QMessageBox) and box.isVisible() and not done
    press(box, words)
    assert len(done) == calls


def test_rename(window, qtbot):
    def act(dialog):
        ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
        dialog._line.setText("   ")
        assert not ok.isEnabled()
        dialog._line.setText("  Anna   Maria ")
        ok.click()

    answer(qtbot, act)
    assert dialogs.rename(window, "Rename", "New name", "Anna") == "Anna Maria"
    answer(qtbot, lambda dialog: dialog.reject())
    assert dialogs.rename(window, "Rename", "New name", "Anna") is None
    answer(qtbot, lambda dialog: dialog.accept())
    assert dialogs.rename(window, "Rename", "New name", "Anna") is None


def test_about_says_version_licence_and_consent(window):
    dialog = dialogs.AboutDialog(window)
    said = " ".join(label.text() for label in dialog.findChildren(QLabel))
    for word in (toolbox.__version__, "MIT", "agreed", "GPL"):
        assert word in said


def test_the_doctor_speaks_line_by_line(window, qtbot):
    dialog = dialogs.DoctorDialog(window)
    dialog.open()
    dialog.set_running(True)
    assert dialog._bar.isVisible()
    dialog.add_line("ok    Python 3.11")
    dialog.add_line("fault There is no vocoder: run `python -m toolbox models fetch`.")
    dialog.add_line("1 thing to mend.")
    dialog.set_running(False)
    assert not dialog._bar.isVisible()
    assert dialog.text().split("\n") == [
        "ok    Python 3.11", "fault There is no vocoder: run `python -m toolbox models fetch`.", "1 thing to mend.",
    ]
    press(dialog, "Copy")
    assert QApplication.clipboard().text() == dialog.text()
    with qtbot.waitSignal(dialog.closed):
        dialog.close()


def test_the_shortcuts_are_listed(window):
    dialog = dialogs.ShortcutsDialog(window, [("Ctrl+Return", "Clone"), ("Esc", "Cancel what is at work")])
    said = [label.text() for label in dialog.findChildren(QLabel)]
    assert said == ["Ctrl+Return", "Clone", "Esc", "Cancel what is at work"]
    dialogs.ShortcutsDialog(window, [])
