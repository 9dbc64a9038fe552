"""Looking and moving: what needs a window and no renders."""

import time
from pathlib import Path

import pytest
from inbetween.v1 import frame_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit
from pytestqt.qtbot import QtBot

from panel.screenshot import take_screenshot
from panel.shortcuts import SHORTCUTS
from panel.widgets.lanes import KEYS, RULER
from panel.window import Window
from tests.panel.conftest import OpenWindow
from tests.panel.fake_server import FakeServer

LEFT = Qt.MouseButton.LeftButton
SOURCE_BLUE, RESULT_BLUE = 80, 160
"""The blue of the fake server's pictures."""


@pytest.fixture
def window(open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot) -> Window:
    fake_server.session.key_frames.add(index=20, state=pb.KEY_FRAME_STATE_READY)
    fake_server.tell_frames((0, 95, pb.FRAME_STATE_READY))
    window = open_window(fake_server.socket, "")
    qtbot.waitUntil(lambda: window.is_settled and window.viewer.result_shown.is_current)
    qtbot.waitUntil(lambda: _color(window, 0.8).blue() == RESULT_BLUE)
    return window


def _color(window: Window, share: float) -> QColor:
    """What the viewer shows at this share of its width, a little above the middle."""
    image = window.viewer.grab().toImage()
    return image.pixelColor(int(image.width() * share), image.height() // 3)


def _drag(window: Window, start: QPoint, end: QPoint) -> None:
    QTest.mousePress(window.viewer, LEFT, pos=start)
    QTest.mouseMove(window.viewer, end)
    QTest.mouseRelease(window.viewer, LEFT, pos=end)


def test_the_wipe_shows_source_and_result_and_is_dragged_by_its_line(window: Window) -> None:
    assert _color(window, 0.3).blue() == SOURCE_BLUE
    middle = window.viewer.rect().center()
    _drag(window, middle, middle - QPoint(window.viewer.width() // 3, 0))
    assert _color(window, 0.3).blue() == RESULT_BLUE
    assert _color(window, 0.05).blue() == SOURCE_BLUE


def test_one_and_two_and_w_choose_the_view(window: Window) -> None:
    QTest.keyClick(window, Qt.Key.Key_1)
    assert _color(window, 0.8).blue() == SOURCE_BLUE
    QTest.keyClick(window, Qt.Key.Key_2)
    assert _color(window, 0.2).blue() == RESULT_BLUE
    QTest.keyClick(window, Qt.Key.Key_W)
    assert _color(window, 0.2).blue() == SOURCE_BLUE


def test_backslash_shows_the_source_for_as_long_as_it_is_held(window: Window) -> None:
    QTest.keyPress(window, Qt.Key.Key_Backslash)
    assert _color(window, 0.8).blue() == SOURCE_BLUE
    QTest.keyRelease(window, Qt.Key.Key_Backslash)
    assert _color(window, 0.8).blue() == RESULT_BLUE


def test_a_position_is_typed_as_a_frame_or_an_offset(window: Window) -> None:
    QTest.keyClick(window, Qt.Key.Key_Equal)
    QTest.keyClicks(window.transport.entry, "61")
    QTest.keyClick(window.transport.entry, Qt.Key.Key_Return)
    assert window.editor.model.playhead == 61
    assert not window.transport.entry.isVisible()
    QTest.keyClick(window, Qt.Key.Key_Plus)
    QTest.keyClicks(window.transport.entry, "20")
    QTest.keyClick(window.transport.entry, Qt.Key.Key_Return)
    assert window.editor.model.playhead == 81


def test_keys_move_by_frames_seconds_and_to_the_ends(window: Window) -> None:
    QTest.keyClick(window, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert window.editor.model.playhead == 24
    QTest.keyClick(window, Qt.Key.Key_Left)
    assert window.editor.model.playhead == 23
    QTest.keyClick(window, Qt.Key.Key_End)
    assert window.editor.model.playhead == 95
    QTest.keyClick(window, Qt.Key.Key_Home)
    assert window.editor.model.playhead == 0


def test_space_plays_at_the_rate_of_the_clip_and_l_doubles_it(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = _long_window(open_window, fake_server, qtbot)  # a busy machine comes to no end of it
    model = window.editor.model
    before = time.monotonic()
    QTest.keyClick(window, Qt.Key.Key_Space)
    started = time.monotonic()
    qtbot.waitUntil(lambda: model.playhead >= 6)
    # However late the machine comes to a frame, it is the one that the clock asks for.
    passed, frame = time.monotonic() - started, model.playhead
    qtbot.waitUntil(lambda: model.playhead > frame)
    assert int(passed * 24) <= model.playhead <= (time.monotonic() - before) * 24
    QTest.keyClick(window, Qt.Key.Key_L)
    assert window.playback.speed == 2
    QTest.keyClick(window, Qt.Key.Key_K)
    stopped_at = window.editor.model.playhead
    qtbot.wait(60)
    assert window.editor.model.playhead == stopped_at


def test_letters_typed_into_a_prompt_are_no_shortcuts(window: Window) -> None:
    field = window.shot_card.field("negative_prompt")
    field.setEnabled(True)
    text = field.findChild(QPlainTextEdit)
    assert text is not None
    text.setFocus()
    QTest.keyClicks(text, "mr w1")
    assert text.toPlainText() == "mr w1"
    assert window.editor.model.keys == [20]


def test_what_is_done_to_a_selected_key_frame_is_in_sight(window: Window) -> None:
    window.editor.select(20)
    QApplication.processEvents()
    assert not window.key_card.paint.visibleRegion().isEmpty()


def test_dragging_on_the_ruler_scrubs(window: Window) -> None:
    timeline = window.timeline
    QTest.mousePress(timeline, LEFT, pos=timeline.point_of(10, RULER).toPoint())
    QTest.mouseMove(timeline, timeline.point_of(50, RULER).toPoint())
    QTest.mouseRelease(timeline, LEFT, pos=timeline.point_of(50, RULER).toPoint())
    assert window.editor.model.playhead == 50


def test_alt_and_wheel_zoom_the_timeline_at_the_pointer(window: Window) -> None:
    timeline = window.timeline
    before = timeline.point_of(40, KEYS)
    wheel = QWheelEvent(
        before,
        timeline.mapToGlobal(before),
        QPoint(),
        QPoint(240, 0),  # with Alt the wheel turns sideways
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.AltModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(timeline, wheel)
    assert timeline.point_of(40, KEYS).x() == pytest.approx(before.x(), abs=2)
    assert timeline.point_of(50, KEYS).x() > before.x() + 180
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ShiftModifier)
    assert timeline.point_of(40, KEYS).x() == pytest.approx(before.x(), abs=0.1)


def test_no_two_shortcuts_share_a_key() -> None:
    keys = [key for shortcut in SHORTCUTS for key in shortcut.keys]
    assert len(keys) == len(set(keys))


def test_the_help_shows_every_shortcut(window: Window) -> None:
    QTest.keyClick(window, Qt.Key.Key_F1)
    assert window.help.isVisible()
    QTest.keyClick(window.help, Qt.Key.Key_Escape)
    assert not window.help.isVisible()


def test_a_screenshot_waits_for_its_pictures(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "panel.png"
    assert take_screenshot(window, path, frame=61) == ""
    image = QImage(str(path))
    assert (image.width(), image.height()) == (1600, 1000)
    middle = window.viewer.mapTo(window, window.viewer.rect().center())
    assert image.pixelColor(middle - QPoint(60, 60)).red() == 61
    thumbnail = window.timeline.mapTo(window, QPoint(200, 60))
    assert image.pixelColor(thumbnail).blue() == SOURCE_BLUE


def test_500_key_frames_in_20_000_frames_are_drawn_and_passed_through(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = _long_window(open_window, fake_server, qtbot)
    _repaint(window, 20)
    for frame in range(0, 20_000, 200):
        window.editor.move_playhead(frame)
        window.timeline.grab()
    assert window.editor.model.playhead == 19_800


@pytest.mark.long
def test_6000_paints_leave_the_panel_alive(window: Window, qtbot: QtBot) -> None:
    _repaint(window, 6000)
    QTest.keyClick(window, Qt.Key.Key_M)
    qtbot.waitUntil(lambda: window.editor.model.unsent_edits == 0)


def _long_window(open_window: OpenWindow, server: FakeServer, qtbot: QtBot) -> Window:
    server.session.clip.range.CopyFrom(frame_pb2.FrameRange(first=0, last=19_999))
    for index in range(0, 20_000, 40):
        server.session.key_frames.add(index=index, state=pb.KEY_FRAME_STATE_READY)
    states = (pb.FRAME_STATE_READY, pb.FRAME_STATE_OUT_OF_DATE)
    firsts = range(0, 20_000, 5)
    server.tell_frames(*((first, first + 4, states[first // 5 % 2]) for first in firsts))
    window = open_window(server.socket, "")
    qtbot.waitUntil(lambda: window.is_settled)
    return window


def _repaint(window: Window, count: int) -> None:
    """The timeline with all its lanes, at one zoom after the other, and the viewer."""
    for turn in range(count):
        position = QPointF(300 + turn % 500, 60)
        wheel = QWheelEvent(
            position,
            position,
            QPoint(),
            QPoint(0, 120 if turn % 40 < 20 else -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.ControlModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(window.timeline, wheel)
        window.timeline.grab()
        window.viewer.grab()
