"""The current clip: its wave, mel spectrogram and embedding, what can be done with it, and how fit it is."""

from __future__ import annotations

import math

from PyQt5.QtCore import QEvent, Qt, pyqtSignal
from PyQt5.QtGui import QColor
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from toolbox.state import Clip, Playback, ToolboxState
from toolbox.theme import colors, level_color
from toolbox.views.canvas import tint
from toolbox.views.icons import icon, icon_button
from toolbox.views.pieces import ElidedLabel, enable
from toolbox.views.plots import EmbeddingView, MelView, WaveformView

NO_CLIP = "Choose or make a clip first"
SOURCES = {"file": "", "recording": "recorded", "corpus": "from the corpus"}


class ClipBox(QWidget):
    """Shows ``state.current_clip``."""

    play_requested = pyqtSignal(int, object)
    """Id, (start, end) in seconds or None."""
    stop_requested = pyqtSignal()
    trim_requested = pyqtSignal(int, float, float)
    rename_requested = pyqtSignal()
    remove_requested = pyqtSignal()

    def __init__(self, state: ToolboxState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._shown: int | None = None
        self.title = ElidedLabel(self)
        self.title.setProperty("heading", True)
        self.facts = QLabel(self)
        self.facts.setProperty("dim", True)
        self.play = icon_button("play", "Play", "play_clip", self)
        self.stop = icon_button("stop", "Stop", "stop_clip", self)
        self._make_plots()
        self.coaching = QLabel(self)
        self.coaching.setObjectName("coaching_line")
        self.coaching.setWordWrap(True)
        self.coaching.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.coaching.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self._make_buttons()
        self._lay_out()
        state.current_clip_changed.connect(self._show_clip)
        state.playback_changed.connect(self._show_playback)
        self._refresh()

    def _make_plots(self) -> None:
        self.waveform = WaveformView(self, "The clip's sound wave")
        self.waveform.setObjectName("clip_waveform")
        self.waveform.setAccessibleName("Waveform of the clip")
        self.waveform.setToolTip("Drag to select, click to play from there.\n"
                                 "Left and Right move the start of the selection, with Shift its end; Esc clears it.")
        self.waveform.selection_changed.connect(lambda _: self._enable())
        self.waveform.seek_requested.connect(self._play_from)
        self.mel = MelView(self)
        self.mel.setObjectName("clip_mel")
        self.mel.setAccessibleName("Mel spectrogram of the clip")
        self.mel.setToolTip("Mel spectrogram: low frequencies at the bottom")
        self.embed = EmbeddingView(self)
        self.embed.setObjectName("clip_embed")
        self.embed.setAccessibleName("Embedding of the clip")

    def _make_buttons(self) -> None:
        self.trim = QPushButton("&Trim", self)
        self.trim.setObjectName("trim_clip")
        self.rename = QPushButton("Rena&me…", self)
        self.rename.setObjectName("rename_clip")
        self.remove = QPushButton("Remove", self)
        self.remove.setObjectName("remove_clip")
        self.play.clicked.connect(self._play)
        self.stop.clicked.connect(lambda: self.stop_requested.emit())
        self.trim.clicked.connect(self._trim)
        self.rename.clicked.connect(lambda: self.rename_requested.emit())
        self.remove.clicked.connect(lambda: self.remove_requested.emit())

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.facts)
        top.addWidget(self.play)
        top.addWidget(self.stop)
        plots = QHBoxLayout()
        plots.addWidget(self.mel, 5)
        plots.addWidget(self.embed, 2)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        for action in (self.trim, self.rename, self.remove):
            buttons.addWidget(action)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for row in (top, plots, buttons, rows):
            row.setSpacing(6)
        rows.addLayout(top)
        rows.addWidget(self.waveform, 3)
        rows.addLayout(plots, 4)
        rows.addWidget(self.coaching)
        rows.addLayout(buttons)

    def _refresh(self) -> None:
        self._show_clip(self._state.current_clip)
        self._show_playback(self._state.playback)

    def _show_clip(self, clip: Clip | None) -> None:
        self._shown = clip.id if clip is not None else None
        self.title.setText(f"{clip.speaker} · {clip.name}" if clip is not None else "No clip")
        self.title.setToolTip(f"{clip.speaker}: {clip.name}" if clip is not None else "")
        facts = () if clip is None else (f"{clip.seconds:.1f} s", SOURCES.get(clip.source, clip.source))
        self.facts.setText(" · ".join(filter(None, facts)))
        waiting = "Computing…" if clip is not None and not clip.problem else "None"
        self.mel.empty_text = waiting if clip is not None else "Mel spectrogram"
        self.embed.empty_text = waiting if clip is not None else "Embedding"
        self.waveform.set_wav(*(clip.wav, clip.sample_rate) if clip is not None else (None,))
        self.mel.set_mel(clip.mel if clip is not None else None)
        self.embed.set_embed(clip.embed if clip is not None else None)
        self._show_coaching(clip)
        self._enable()

    def _show_coaching(self, clip: Clip | None) -> None:
        words, figures, color = coaching_words(clip, self)
        self.coaching.setText(words)
        self.coaching.setToolTip(figures)
        tint(self.coaching, color)

    def _show_playback(self, playback: Playback | None) -> None:
        mine = playback if playback is not None and playback.kind == "clip" and playback.id == self._shown else None
        clip = self._state.current_clip
        self.waveform.set_position(mine.position if mine is not None else None)
        length = clip.seconds if clip is not None else 0.0
        self.mel.set_position(mine.position / length if mine is not None and length > 0 else None)
        playing = playback is not None and playback.kind == "clip"
        if self.stop.isEnabled() != playing:
            self.stop.setEnabled(playing)
            self.stop.setToolTip("Stop" if playing else "Stop\nNo clip is playing.")

    def _enable(self) -> None:
        none = "" if self._shown is not None else NO_CLIP
        selected = self.waveform.selection is not None
        enable(self.play, "Play the selection" if selected else "Play the clip", none)
        enable(self.trim, "Keep only the selection", none or ("" if selected else "Select a part of the wave first"))
        enable(self.rename, "Rename the speaker of the chosen rows (F2)", none)
        enable(self.remove, "Remove the chosen clips (Delete)", none)

    def _play(self) -> None:
        if self._shown is not None:
            self.play_requested.emit(self._shown, self.waveform.selection)

    def _play_from(self, seconds: float) -> None:
        if self._shown is not None:
            self.play_requested.emit(self._shown, (seconds, self.waveform.duration))

    def _trim(self) -> None:
        if self._shown is not None and self.waveform.selection is not None:
            self.trim_requested.emit(self._shown, *self.waveform.selection)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            for button, name in ((self.play, "play"), (self.stop, "stop")):
                button.setIcon(icon(name, self))
            self._show_coaching(self._state.current_clip)


def coaching_words(clip: Clip | None, widget: QWidget) -> tuple[str, str, QColor]:
    """The line under a clip, its figures for the tooltip, and the colour of the line."""
    now = colors(widget)
    if clip is None:
        return "5 s of one person in a quiet room are enough for a voice.", "", now.dim
    figures = _figures(clip)
    if clip.problem:
        return clip.problem, figures, now.bad
    if clip.coaching is not None:
        return clip.coaching.advice, figures, level_color(clip.coaching.verdict, widget)
    if clip.embed is None:
        return "Computing the embedding…", "", now.dim
    return "", figures, now.dim


def _figures(clip: Clip) -> str:
    """What was measured, a line each."""
    measured = clip.coaching
    if measured is None:
        return ""
    lines = [f"Speech: {measured.speech_seconds:.1f} s of {clip.seconds:.1f} s"]
    if math.isfinite(measured.level_dbfs):
        lines.append(f"Level: {measured.level_dbfs:.0f} dBFS")
    lines.append(f"Cut-off peaks: {measured.clipped_share:.2%} of the samples")
    if measured.noise_db is not None:
        lines.append(f"Speech above noise: {measured.noise_db:.0f} dB")
    if measured.bandwidth_hz is not None:
        lines.append(f"Frequencies up to {measured.bandwidth_hz / 1000:.1f} kHz")
    if measured.agreement is not None:
        lines.append(f"Agreement of its parts: {measured.agreement:.2f}")
    return "\n".join(lines)
