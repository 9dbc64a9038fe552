"""What the panel says in each state, on a fake server that can be brought into it."""

import time
from fractions import Fraction
from pathlib import Path

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from panel.model.session import Link
from panel.pictures import PATIENCE_SECONDS
from panel.widgets.viewer import ViewMode
from panel.window import Window
from tests.panel.conftest import OpenWindow
from tests.panel.fake_server import FakeServer


def _opened(open_window: OpenWindow, server: FakeServer, qtbot: QtBot) -> Window:
    window = open_window(server.socket, "")
    qtbot.waitUntil(lambda: window.is_settled)
    return window


def test_edits_made_while_the_server_is_gone_arrive_when_it_is_back(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = _opened(open_window, fake_server, qtbot)
    fake_server.stop()
    qtbot.waitUntil(lambda: window.editor.model.link is Link.GONE)
    window.editor.move_playhead(20)
    QTest.keyClick(window, Qt.Key.Key_M)
    window.editor.move_playhead(40)
    QTest.keyClick(window, Qt.Key.Key_M)
    QTest.keyClick(window, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert window.editor.model.keys == [20, 41]
    assert window.strip.isVisible()
    assert window.strip.title.text() == "The render server is not answering"
    assert "3 changes will be sent when it is back" in window.strip.text.text()

    fake_server.start()
    qtbot.waitUntil(lambda: fake_server.keys == [20, 41])
    qtbot.waitUntil(lambda: window.editor.model.unsent_edits == 0)
    qtbot.waitUntil(lambda: window.editor.model.link is Link.CONNECTED)
    assert window.editor.model.keys == [20, 41]


def test_an_edit_whose_answer_was_lost_is_not_made_twice(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = _opened(open_window, fake_server, qtbot)
    fake_server.loses_answers = True
    window.editor.add_key(20)
    qtbot.waitUntil(lambda: window.editor.model.unsent_edits == 0)
    assert fake_server.keys == [20]
    assert window.editor.model.keys == [20]


def test_scrubbing_over_a_slow_server_ends_at_the_newest_frame(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = _opened(open_window, fake_server, qtbot)
    window.viewer.set_mode(ViewMode.SOURCE)
    fake_server.read_seconds = 0.3
    fake_server.requests.clear()
    began = time.monotonic()
    for frame in range(1, 91):
        window.editor.move_playhead(frame)
        qtbot.wait(4)
    qtbot.waitUntil(lambda: window.viewer.is_settled)
    assert window.viewer.grab().toImage().pixelColor(window.viewer.rect().center()).red() == 90
    # The others were given up before they were asked for: two readers wait that long for each.
    passed = time.monotonic() - began
    assert len(fake_server.requests) <= 2 * (2 + passed / PATIENCE_SECONDS)


def test_without_a_session_the_panel_offers_to_open_a_movie(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.has_session = False
    window = open_window(fake_server.socket, "")
    qtbot.waitUntil(lambda: window.editor.model.link is Link.NO_SESSION)
    assert window.page.isVisible()
    assert window.page.title.text() == "No clip yet"
    assert window.page.remedy.text() == "Open movie…"
    window.connection.open_movie(Path("/clips/A012_C004.mov"))
    qtbot.waitUntil(lambda: window.is_settled)
    assert fake_server.requests[0].clip.media_path == "/clips/A012_C004.mov"
    assert window.editor.model.rate == Fraction(24)


def test_a_panel_that_comes_before_the_server_waits_for_it(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.stop()
    window = open_window(fake_server.socket, "")
    qtbot.waitUntil(lambda: window.editor.model.link is Link.GONE)
    assert window.page.remedy.text() == "Start server"
    fake_server.start()
    qtbot.waitUntil(lambda: window.is_settled)


def test_the_end_of_a_job_that_nobody_measured_is_a_few_seconds_away(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.session.key_frames.add(index=0)
    window = _opened(open_window, fake_server, qtbot)
    job = pb.Job(id="1", state=pb.JOB_STATE_RUNNING, fraction=0.99, seconds_left=2, rough=True)
    job.range.last = 95
    fake_server.tell(pb.WatchResponse(job=job))
    qtbot.waitUntil(lambda: window.status_bar.left.text() == "a few seconds left")
    job.seconds_left = 24
    fake_server.tell(pb.WatchResponse(job=job))
    qtbot.waitUntil(lambda: window.status_bar.left.text() == "roughly 20 s left")


def test_a_failed_job_says_why_and_is_tried_again_by_one_click(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.session.key_frames.add(index=0)
    window = _opened(open_window, fake_server, qtbot)
    fake_server.tell_frames((0, 91, pb.FRAME_STATE_READY), (92, 95, pb.FRAME_STATE_FAILED))
    job = pb.Job(id="1", state=pb.JOB_STATE_FAILED, error="The disk is full: free 2 GB.")
    job.range.last = 95
    fake_server.tell(pb.WatchResponse(job=job))
    qtbot.waitUntil(window.strip.isVisible)
    qtbot.waitUntil(lambda: window.strip.title.text() == "4 frames failed")
    assert window.strip.text.text().startswith("The disk is full: free 2 GB.")
    QTest.mouseClick(window.strip.remedy, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(fake_server.asked(render_pb2.StartJobRequest)))
    (asked,) = fake_server.asked(render_pb2.StartJobRequest)
    assert asked.range.last == 95


def test_a_painter_that_cannot_paint_here_is_announced_and_keys_can_be_placed(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.info.painters.add(
        name="style", label="Quick style", reason="Not installed: torch. Install it."
    )
    fake_server.session.settings.translation.painter = "style"
    window = _opened(open_window, fake_server, qtbot)
    qtbot.waitUntil(window.strip.isVisible)
    assert window.strip.title.text() == "Quick style cannot paint here"
    assert "Not installed: torch" in window.strip.text.text()
    QTest.keyClick(window, Qt.Key.Key_M)
    qtbot.waitUntil(lambda: fake_server.keys == [0])


def test_where_nothing_is_rendered_the_nearest_ready_frame_is_shown_and_named(
    open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.session.key_frames.add(index=0)
    window = _opened(open_window, fake_server, qtbot)
    window.editor.move_playhead(40)
    assert window.viewer.result_shown.frame is None
    assert window.viewer.result_shown.label == "B  SOURCE · not rendered yet"
    fake_server.tell_frames((0, 24, pb.FRAME_STATE_READY))
    qtbot.waitUntil(lambda: window.viewer.result_shown.frame == 24)
    assert window.viewer.result_shown.label == "B  RESULT of frame 24 · not rendered here"
    fake_server.tell_frames((25, 60, pb.FRAME_STATE_OUT_OF_DATE))
    qtbot.waitUntil(lambda: window.viewer.result_shown.frame == 40)
    assert window.viewer.result_shown.label == "B  RESULT · out of date"
    qtbot.waitUntil(lambda: window.viewer.is_settled)
    image = window.viewer.grab().toImage()
    assert image.pixelColor(image.width() // 2 + 40, image.height() // 2).red() == 40
