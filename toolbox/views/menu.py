"""What the menu holds, and the keys for it; knows neither the window nor what its lines do."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtGui import QKeySequence


@dataclass(frozen=True)
class Entry:
    """A line of the menu."""

    name: str
    """objectName of its action."""
    text: str
    keys: str
    signal: str = ""
    """Signal of the window that it emits, when it has no slot of its own."""


MENU: dict[str, tuple[Entry | None, ...]] = {
    "&File": (
        Entry("load_files", "&Load sound files…", "Ctrl+O"),
        Entry("load_folder", "Load a &folder…", "Ctrl+Shift+O"),
        Entry("open_corpus", "Choose the &corpus folder…", ""),
        None,
        Entry("export", "&Export the result…", "Ctrl+E"),
        Entry("export_all", "Export &all unsaved results…", "Ctrl+Shift+E"),
        None,
        Entry("quit", "&Quit", "Ctrl+Q"),
    ),
    "&Voice": (
        Entry("record", "&Record or stop", "Ctrl+R"),
        Entry("play_clip", "&Play the clip", "Ctrl+P"),
        Entry("save_voice", "&Save the voice…", "Ctrl+S"),
        Entry("import_voice", "&Import a voice…", ""),
        Entry("random_voice", "A random &new voice", "", "random_voice_requested"),
    ),
    "&Speech": (
        Entry("clone", "&Clone (synthesize and vocode)", "Ctrl+Return"),
        Entry("synthesize", "&Synthesize only", "Ctrl+Shift+Return"),
        Entry("vocode", "&Vocode only", "Ctrl+Alt+Return"),
        Entry("cancel", "C&ancel", "Esc", "cancel_requested"),
        None,
        Entry("play_result", "&Play the result", "Ctrl+Shift+P"),
        Entry("play_reference", "Play its &reference", "Ctrl+B"),
        Entry("stop", "S&top the sound", "Ctrl+.", "stop_requested"),
    ),
    "V&iew": (
        Entry("show_log", "&Log", "Ctrl+L"),
        Entry("reset_layout", "&Reset the layout", ""),
        None,
        Entry("focus_voice", "Go to the &voices", "Ctrl+1"),
        Entry("focus_text", "Go to the &text", "Ctrl+2"),
        Entry("focus_results", "Go to the r&esults", "Ctrl+3"),
        Entry("focus_comparison", "Go to the &comparison", "Ctrl+4"),
    ),
    "&Tools": (
        Entry("refresh_devices", "Look for sound &devices again", "F5", "refresh_devices_requested"),
        Entry("refresh_models", "Look for &models again", "", "refresh_models_requested"),
        Entry("fetch_models", "Do&wnload models…", "", "fetch_requested"),
    ),
    "&Help": (
        Entry("shortcuts", "&Keyboard shortcuts", "F1"),
        Entry("doctor", "&Doctor", "", "doctor_requested"),
        Entry("about", "&About", ""),
    ),
}


def shortcuts() -> list[tuple[str, str]]:
    """(keys, what they do) of the whole menu."""
    rows = []
    for entries in MENU.values():
        for entry in entries:
            if entry is not None and entry.keys:
                keys = QKeySequence(entry.keys).toString(QKeySequence.SequenceFormat.NativeText)
                rows.append((keys, entry.text.replace("&", "").rstrip("…")))
    return rows
