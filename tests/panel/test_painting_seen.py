"""The panel while a real server paints a key frame, slowly."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from panel.widgets.lanes import KEYS
from panel.window import Window
from tests.panel.conftest import OpenWindow
from tests.server.conftest import footage, tiny_clip  # noqa: F401 - fixtures
from tests.slow_server import SlowServer, slow_server

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def slow() -> Iterator[SlowServer]:
    with slow_server() as running:
        yield running


def result_pixels(window: Window) -> QImage:
    """The result's side of the wipe."""
    image = window.viewer.grab().toImage()
    return image.copy(image.width() // 2 + 30, image.height() // 2 - 40, 120, 80)


def key_in_timeline(window: Window, frame: int) -> QImage:
    """A key frame with what is around it."""
    centre = window.timeline.point_of(frame, KEYS).toPoint()
    return window.timeline.grab().toImage().copy(centre.x() - 14, centre.y() - 14, 28, 28)


def test_a_key_frame_is_seen_while_it_is_painted_until_its_take_replaces_it(
    slow: SlowServer,
    tiny_clip: Path,  # noqa: F811
    open_window: OpenWindow,
    qtbot: QtBot,
) -> None:
    session = slow.open(tiny_clip, [2, 9], steps=8)
    window = open_window(slow.running.socket, session.id)
    model, viewer, card = window.editor.model, window.viewer, window.key_card
    qtbot.waitUntil(lambda: window.is_settled)
    slow.be_slow("predict")
    window.editor.select(2)
    source = result_pixels(window)
    QTest.mouseClick(card.paint, LEFT)

    def words() -> str:
        return viewer.result_shown.label

    qtbot.waitUntil(lambda: words() == "B  SOURCE · loading the model, 45 MB")
    qtbot.waitUntil(lambda: words().startswith("B  PAINTING · step 2 of "))
    qtbot.waitUntil(lambda: words().startswith("B  PAINTING · step 3 of "))
    assert card.state.text().startswith("painting, step 3 of ")
    assert window.status_bar.text.text().startswith("Painting key frame 2 · step 3 of ")
    early, ring = result_pixels(window), key_in_timeline(window, 2)
    assert early != source

    window.editor.select(9)
    assert words() == "B  SOURCE · not rendered yet"
    qtbot.waitUntil(lambda: model.job is not None and model.job.step >= 5)
    window.editor.select(2)
    assert words().startswith("B  PAINTING · step ")
    assert result_pixels(window) != early
    assert key_in_timeline(window, 2) != ring

    qtbot.waitUntil(lambda: words() == "B  RESULT")
    qtbot.waitUntil(lambda: not model.is_rendering)
    assert model.preview is None
    qtbot.waitUntil(lambda: window.is_settled)
    assert len(card.take_buttons) == 1
    assert result_pixels(window) != source


def test_a_cancelled_painting_says_so_at_once_and_shows_the_source_again(
    slow: SlowServer,
    tiny_clip: Path,  # noqa: F811
    open_window: OpenWindow,
    qtbot: QtBot,
) -> None:
    session = slow.open(tiny_clip, [4], steps=20)
    window = open_window(slow.running.socket, session.id)
    model = window.editor.model
    qtbot.waitUntil(lambda: window.is_settled)
    slow.be_slow("predict")
    window.editor.select(4)
    QTest.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: model.preview is not None)
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert window.status_bar.text.text().startswith("Cancelling · Painting key frame 4")
    assert not window.status_bar.cancel.isEnabled()
    qtbot.waitUntil(lambda: not model.is_rendering)
    assert model.job is not None
    assert model.job.state == pb.JOB_STATE_CANCELLED
    assert window.viewer.result_shown.label == "B  SOURCE · not rendered yet"
    assert model.preview is None
    slow.be_slow()


def test_a_key_frame_that_another_one_is_painted_before_says_so(
    slow: SlowServer,
    tiny_clip: Path,  # noqa: F811
    open_window: OpenWindow,
    qtbot: QtBot,
) -> None:
    """It is painted against the first one of its shot, which has no painting yet."""
    session = slow.open(tiny_clip, [2, 6, 9], steps=2)
    window = open_window(slow.running.socket, session.id)
    viewer, card = window.viewer, window.key_card
    qtbot.waitUntil(lambda: window.is_settled)
    slow.be_slow("predict")
    window.editor.select(9)
    QTest.keyClick(window, Qt.Key.Key_R)
    told = "waits for key frame 2"
    qtbot.waitUntil(lambda: viewer.result_shown.label == f"B  SOURCE · {told}")
    assert card.state.text() == told
    window.editor.select(2)
    assert viewer.result_shown.label.startswith(("B  PAINTING", "B  SOURCE · painting"))
    window.editor.select(9)
    slow.be_slow()
    qtbot.waitUntil(lambda: viewer.result_shown.label == "B  RESULT")
    qtbot.waitUntil(lambda: card.state.text() == "diffusion · ready")
