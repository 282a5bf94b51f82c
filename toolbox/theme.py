"""Colours, palettes and the style sheet, dark and light; knows no widget of this program."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from PyQt5.QtCore import QEvent
from PyQt5.QtGui import QColor, QPalette
from PyQt5.QtWidgets import QApplication, QWidget

from toolbox.projection import colour_of

DARK, LIGHT, SYSTEM = "dark", "light", "system"
THEMES = (SYSTEM, DARK, LIGHT)
_SYSTEM_DARK = "system_dark"


@dataclass(frozen=True)
class Colors:
    """The colours of one theme. Text on ``window``, ``panel`` and ``base`` has a contrast of 4.5 or more."""

    window: QColor
    base: QColor
    """Behind plots, lists and text fields."""
    panel: QColor
    """Buttons and headers."""
    text: QColor
    dim: QColor
    """Secondary words."""
    line: QColor
    accent: QColor
    accent_text: QColor
    good: QColor
    warn: QColor
    bad: QColor
    wave: QColor
    wave_selected: QColor
    playhead: QColor


def _colors(**names: str) -> Colors:
    return Colors(**{name: QColor(value) for name, value in names.items()})


_DARK = _colors(
    window="#1f2226", base="#17191c", panel="#2b2f35", text="#e6e8ea", dim="#9aa2ab", line="#3a4048",
    accent="#2f7fd6", accent_text="#ffffff", good="#5fbf77", warn="#e0a83e", bad="#ef6f6c",
    wave="#6fa8dc", wave_selected="#2f7fd6", playhead="#f2c14e",
)
_LIGHT = _colors(
    window="#f3f4f6", base="#ffffff", panel="#e6e8ec", text="#1c1f23", dim="#5c646e", line="#c4c9d0",
    accent="#1f6fc4", accent_text="#ffffff", good="#1f7a3a", warn="#8a5a00", bad="#b3261e",
    wave="#3d78b4", wave_selected="#1f6fc4", playhead="#c25e00",
)

# The ten stops of a perceptually even map from dark violet over green to yellow.
_STOPS = np.array(
    [(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
     (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37)], dtype=np.float64,
)
HEAT: np.ndarray = np.stack(
    [np.interp(np.linspace(0, 9, 256), np.arange(10), _STOPS[:, channel]) for channel in range(3)], axis=1
).round().astype(np.uint8)
"""(256, 3) colours of heat maps, low to high."""

def is_dark(palette: QPalette) -> bool:
    """Whether a palette has light text on dark."""
    return palette.color(QPalette.ColorRole.Window).lightness() < 128


def colors(widget: QWidget | None = None) -> Colors:
    """The colours that fit a widget's palette (the application's without one)."""
    palette = widget.palette() if widget is not None else QApplication.palette()
    return _DARK if is_dark(palette) else _LIGHT


def speaker_color(index: int) -> QColor:
    """A colour for the speaker with that number, for any number of speakers."""
    return QColor(*colour_of(index))


def level_color(verdict: str, widget: QWidget | None = None) -> QColor:
    """Colour of a verdict ("good", "usable", "poor") or of a log level ("info", "warning", "error")."""
    now = colors(widget)
    return {
        "good": now.good, "usable": now.warn, "poor": now.bad, "warning": now.warn, "error": now.bad,
    }.get(verdict, now.text)


def palette_of(theme: Colors) -> QPalette:
    """The Qt palette of a theme."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.window, QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.base, QPalette.ColorRole.AlternateBase: theme.window,
        QPalette.ColorRole.Text: theme.text, QPalette.ColorRole.Button: theme.panel,
        QPalette.ColorRole.ButtonText: theme.text, QPalette.ColorRole.BrightText: theme.bad,
        QPalette.ColorRole.Highlight: theme.accent, QPalette.ColorRole.HighlightedText: theme.accent_text,
        QPalette.ColorRole.ToolTipBase: theme.panel, QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.Link: theme.accent, QPalette.ColorRole.PlaceholderText: theme.dim,
        QPalette.ColorRole.Mid: theme.line, QPalette.ColorRole.Midlight: theme.panel,
        QPalette.ColorRole.Dark: theme.line, QPalette.ColorRole.Light: theme.panel,
    }
    for role, color in roles.items():
        palette.setColor(role, color)
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        faded = QColor(theme.dim)
        faded.setAlpha(150)
        palette.setColor(QPalette.ColorGroup.Disabled, role, faded)
    palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Highlight, theme.line)
    return palette


def apply_theme(app: QApplication, name: str = SYSTEM) -> None:
    """Give the application the dark or the light palette; "system" follows what the desktop gave at the start."""
    # The first call finds the desktop's palette; after it, the palette is ours.
    if app.property(_SYSTEM_DARK) is None:
        app.setProperty(_SYSTEM_DARK, is_dark(app.palette()))
    if name == SYSTEM:
        name = DARK if app.property(_SYSTEM_DARK) else LIGHT
    theme = _DARK if name == DARK else _LIGHT
    # In this order: a palette does not reach widgets that already have a sheet.
    app.setStyleSheet("")
    app.setPalette(palette_of(theme))
    app.setStyleSheet(style_sheet(theme))
    # Widgets that colour their words themselves do so when the palette changes, and the sheet has undone it.
    for widget in app.allWidgets():
        app.sendEvent(widget, QEvent(QEvent.Type.PaletteChange))


def style_sheet(theme: Colors) -> str:
    """What a palette cannot say: borders, headings, the main button."""
    values = {entry.name: getattr(theme, entry.name).name() for entry in fields(theme)}
    values["hover"] = theme.panel.lighter(118).name() if theme is _DARK else theme.panel.darker(106).name()
    values["accent_hover"] = theme.accent.lighter(112).name()
    values["faded"] = theme.line.name()
    sheet = _SHEET
    for key, value in values.items():
        sheet = sheet.replace(f"@{key}@", value)
    return sheet


_SHEET = """
QPushButton, QToolButton { border: 1px solid @line@; border-radius: 4px; padding: 4px 10px; background: @panel@; }
QToolButton { padding: 4px 6px; }
QPushButton:hover, QToolButton:hover { background: @hover@; }
QPushButton:pressed, QPushButton:checked, QToolButton:pressed, QToolButton:checked { background: @line@; }
QPushButton:focus, QToolButton:focus, QLineEdit:focus, QPlainTextEdit:focus,
QListView:focus, QTreeView:focus, QTableView:focus { border: 1px solid @accent@; }
QPushButton:disabled, QToolButton:disabled { color: @dim@; background: transparent; border-color: @faded@; }
QPushButton[primary="true"] { background: @accent@; color: @accent_text@; border-color: @accent@; font-weight: 600; }
QPushButton[primary="true"]:hover { background: @accent_hover@; }
QPushButton[primary="true"]:focus { border: 1px solid @text@; }
QPushButton[primary="true"]:disabled { background: transparent; color: @dim@; border-color: @faded@; }
QPushButton[danger="true"] { color: @bad@; }
QPushButton[danger="true"]:disabled { color: @dim@; }
QLabel[heading="true"] { font-weight: 600; }
QLabel[dim="true"] { color: @dim@; }
QLineEdit, QPlainTextEdit, QTextEdit, QListView, QTreeView, QTableView {
  border: 1px solid @line@; border-radius: 4px; background: @base@; }
QLineEdit { padding: 3px 4px; }
QComboBox { padding: 2px 4px; }
QCheckBox { margin-right: 4px; }
QCheckBox::indicator:unchecked { width: 12px; height: 12px; border: 1px solid @dim@; border-radius: 2px;
  background: @base@; }
QCheckBox::indicator:unchecked:disabled { border-color: @line@; }
QComboBox QAbstractItemView { background: @base@; border: 1px solid @line@; }
QHeaderView::section { background: @window@; color: @dim@; border: none; border-bottom: 1px solid @line@;
  padding: 3px; }
QTabWidget::pane { border: 1px solid @line@; border-radius: 4px; top: -1px; }
QTabBar::tab { padding: 5px 12px; border: 1px solid transparent; color: @dim@; }
QTabBar::tab:selected { color: @text@; border-bottom: 2px solid @accent@; }
QTabBar::tab:focus { color: @accent@; }
QProgressBar { border: 1px solid @line@; border-radius: 4px; background: @base@; text-align: center; }
QProgressBar::chunk { background: @accent@; border-radius: 3px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: @line@; }
QStatusBar::item { border: none; }
QStatusBar QLabel { padding-left: 6px; }
QToolTip { background: @panel@; color: @text@; border: 1px solid @line@; padding: 3px; }
"""
