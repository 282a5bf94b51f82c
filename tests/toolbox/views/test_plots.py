"""The plots draw what they are given, at any size, and answer mouse and keys."""

import time

import numpy as np
import pytest
from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt
from PyQt5.QtGui import QImage, QMouseEvent
from PyQt5.QtWidgets import QApplication

from toolbox.theme import HEAT
from toolbox.views.canvas import envelope, narrowed, value_range
from toolbox.views.plots import (
    AlignmentView,
    EmbeddingView,
    LevelMeter,
    MelView,
    WaveformView,
    heat_map,
)

LEFT = Qt.MouseButton.LeftButton


def show(qtbot, widget, width=202, height=102):
    qtbot.addWidget(widget)
    widget.resize(width, height)
    widget.show()
    return widget


def tones(widget) -> set[int]:
    """The colours of a widget as it is drawn now."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return {image.pixel(x, y) for x in range(2, image.width() - 2, 2) for y in range(2, image.height() - 2, 3)}


@pytest.fixture
def waveform(qtbot, speechlike):
    view = show(qtbot, WaveformView())
    view.set_wav(speechlike(2.0), 16000)
    return view


def drag(qtbot, view, start, end):
    qtbot.mousePress(view, LEFT, pos=QPoint(start, 50))
    # QTest moves the pointer of the screen, which the offscreen platform tells nobody about.
    for x in ((start + end) // 2, end):
        event = QMouseEvent(QEvent.Type.MouseMove, QPointF(x, 50), LEFT, LEFT, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(view, event)
    qtbot.mouseRelease(view, LEFT, pos=QPoint(end, 50))


def test_heat_map_goes_from_the_lowest_to_the_highest_colour(qapp):
    image = heat_map(np.array([[0.0, 1.0], [-5.0, np.nan]]), 0.0, 1.0)
    low, high = (tuple(int(part) for part in HEAT[index]) for index in (0, 255))
    assert image.width() == image.height() == 2
    assert image.pixelColor(0, 0).getRgb()[:3] == low
    assert image.pixelColor(1, 0).getRgb()[:3] == high
    assert image.pixelColor(0, 1).getRgb()[:3] == low
    assert image.pixelColor(1, 1).getRgb()[:3] == low


@pytest.mark.parametrize(("samples", "columns"), [(1, 7), (7, 7), (1000, 7), (5, 300)])
def test_envelope_keeps_the_extremes(samples, columns):
    wav = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    low, high = envelope(wav, columns)
    assert len(low) == len(high) == columns
    assert low.min() == wav.min() and high.max() == wav.max()
    assert (low <= high).all()


def test_narrowed_keeps_means():
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_allclose(narrowed(values, 3), [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]])
    assert narrowed(values, 6) is values


def test_value_range_grows_only_when_it_must():
    assert value_range(np.array([-3.0, 4.1]), -4, 4) == (-4, 4)
    assert value_range(np.array([-9.0, 1.0]), -4, 4) == (-9, 1)
    assert value_range(np.array([np.nan]), -4, 4) == (-4, 4)


def test_empty_plots_say_so(qtbot):
    for view in (WaveformView(), MelView(), EmbeddingView(), AlignmentView()):
        show(qtbot, view)
        empty = tones(view)
        view.empty_text = ""
        assert len(empty) > len(tones(view))


def test_drag_selects_and_click_gives_up_the_selection(qtbot, waveform):
    chosen, sought = [], []
    waveform.selection_changed.connect(chosen.append)
    waveform.seek_requested.connect(sought.append)
    drag(qtbot, waveform, 51, 151)
    assert waveform.selection == pytest.approx((0.5, 1.5), abs=0.02)
    assert chosen[-1] == waveform.selection and not sought
    qtbot.mouseClick(waveform, LEFT, pos=QPoint(20, 50))
    assert waveform.selection is None and chosen[-1] is None and not sought
    qtbot.mouseClick(waveform, LEFT, pos=QPoint(101, 50))
    assert sought == pytest.approx([1.0], abs=0.02)


def test_an_edge_of_the_selection_can_be_dragged(qtbot, waveform):
    waveform.set_selection(0.5, 1.5)
    drag(qtbot, waveform, 152, 121)
    assert waveform.selection == pytest.approx((0.5, 1.2), abs=0.02)


def test_a_drag_beyond_the_ends_stays_inside(qtbot, waveform):
    drag(qtbot, waveform, 100, 900)
    assert waveform.selection[1] == pytest.approx(2.0)


def test_arrow_keys_trim_both_ends(qtbot, waveform):
    qtbot.keyClick(waveform, Qt.Key.Key_Right)
    qtbot.keyClick(waveform, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert waveform.selection == pytest.approx((0.05, 1.95))
    qtbot.keyClick(waveform, Qt.Key.Key_Escape)
    assert waveform.selection is None


def test_the_edges_cannot_pass_each_other(qtbot, waveform):
    waveform.set_selection(1.0, 1.06)
    for _ in range(4):
        qtbot.keyClick(waveform, Qt.Key.Key_Right)
    start, end = waveform.selection
    assert start < end == pytest.approx(1.06)


def test_a_selection_stays_with_its_wav(waveform, speechlike):
    waveform.set_selection(0.2, 0.8)
    waveform.set_wav(waveform._wav, 16000)
    assert waveform.selection == (0.2, 0.8)
    waveform.set_wav(speechlike(1.0), 16000)
    assert waveform.selection is None


def test_what_is_not_selectable_takes_no_selection(qtbot, speechlike):
    view = show(qtbot, WaveformView(selectable=False))
    view.set_wav(speechlike(1.0), 16000)
    drag(qtbot, view, 30, 120)
    assert view.selection is None
    assert view.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_playhead_and_selection_are_drawn(waveform):
    plain = tones(waveform)
    waveform.set_selection(0.5, 1.0)
    selected = tones(waveform)
    waveform.set_position(1.5)
    assert plain != selected != tones(waveform)


def test_a_thousand_seconds_are_drawn_at_once(qtbot):
    view = show(qtbot, WaveformView(), 900, 60)
    view.set_wav(np.zeros(16_000_000, dtype=np.float32), 16000)
    view.grab()
    started = time.perf_counter()
    view.set_position(500.0)
    view.grab()
    # Measured 0.2 ms; what is looked for here is a second pass over 16 million samples (60 ms).
    assert time.perf_counter() - started < 0.05


@pytest.mark.parametrize("wav", [np.zeros(0), np.zeros(1), np.full(50, np.nan), np.ones(3) * 9], ids=len)
def test_odd_wavs_are_drawn(qtbot, wav):
    view = show(qtbot, WaveformView())
    view.set_wav(wav.astype(np.float32), 16000)
    view.set_selection(0, 5)
    assert not view.grab().isNull()


def test_low_bands_of_a_mel_are_at_the_bottom(qtbot):
    view = show(qtbot, MelView())
    mel = np.full((80, 50), -4.0, dtype=np.float32)
    mel[:40] = 4.0
    view.set_mel(mel)
    image = view.grab().toImage()
    assert image.pixelColor(100, 80).lightness() > image.pixelColor(100, 20).lightness()


def test_long_mels_and_playheads(qtbot):
    view = show(qtbot, MelView())
    view.set_mel(np.zeros((80, 50_000), dtype=np.float32))
    before = tones(view)
    view.set_position(0.5)
    after = view.grab().toImage().pixelColor(101, 50)
    assert before and after.name() not in {f"#{tone & 0xFFFFFF:06x}" for tone in before}


def test_embedding_is_a_square_with_its_range(qtbot):
    view = show(qtbot, EmbeddingView())
    embed = np.zeros(256, dtype=np.float32)
    embed[:128] = 0.25
    view.set_embed(embed)
    assert "256 values, 0.00 to 0.25; 50% are zero" in view.toolTip()
    assert len(tones(view)) > 2
    view.set_embed(None)
    assert view.is_empty() and not view.toolTip()


def test_segments_share_the_width_by_their_steps_and_failed_ones_are_framed(qtbot):
    view = show(qtbot, AlignmentView())
    view.set_alignments([np.eye(30, 10), np.eye(90, 20)], [True, True])
    assert view.spans(200) == [(0.0, 50.0), (50.0, 150.0)]
    fine = tones(view)
    view.set_alignments([np.eye(30, 10), np.eye(90, 20)], [True, False])
    frame = view.grab().toImage().pixelColor(120, 2)
    assert frame.red() > 150 and frame.red() > frame.green() + 60
    assert fine


def test_alignments_without_marks_or_steps(qtbot):
    view = show(qtbot, AlignmentView())
    view.set_alignments([np.eye(5), np.zeros((0, 4))])
    assert not view.grab().isNull() and not view.is_empty()
    view.set_alignments([])
    assert view.is_empty()


def test_level_meter_holds_the_peak(qtbot, monkeypatch):
    meter = show(qtbot, LevelMeter(), 120, 12)
    clock = [100.0]
    monkeypatch.setattr("toolbox.views.plots.time.monotonic", lambda: clock[0])
    meter.set_level(-20, -1)
    meter.set_level(-30, -25)
    assert meter.peak == -1
    clock[0] += 1.5
    meter.set_level(-30, -25)
    assert meter.peak == -25
    assert meter.color(-1) != meter.color(-6) != meter.color(-30)
    meter.reset()
    assert len(tones(meter)) == 1


def test_plots_follow_a_new_palette(qtbot, waveform):
    from toolbox.theme import DARK, LIGHT, apply_theme

    app = QApplication.instance()
    before = app.palette(), app.styleSheet()
    try:
        apply_theme(app, DARK)
        dark = waveform.grab().toImage().pixelColor(4, 4).lightness()
        apply_theme(app, LIGHT)
        assert waveform.grab().toImage().pixelColor(4, 4).lightness() > dark + 100
    finally:
        app.setPalette(before[0])
        app.setStyleSheet(before[1])
