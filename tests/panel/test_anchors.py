"""Anchors, drift, and key frames that were painted against older ones."""

from collections.abc import Callable

import pytest
from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from panel.widgets.lanes import ANCHOR_BESIDE, KEYS
from panel.window import CARDS_WIDTH, Window
from tests.panel.conftest import OpenWindow
from tests.panel.fake_server import FakeServer

LEFT = Qt.MouseButton.LeftButton
OLDER = pb.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER
OpenKeys = Callable[..., Window]


def key(index: int, **facts: object) -> pb.KeyFrame:
    """A painted key frame."""
    made = pb.KeyFrame(
        index=index,
        state=pb.KEY_FRAME_STATE_READY,
        take=f"take of {index}",
        placement=pb.PLACEMENT_HAND,
    )
    made.takes.add(address=made.take, painter="diffusion", prompt="oil painting")
    made.MergeFrom(pb.KeyFrame(**facts))  # type: ignore[arg-type]
    return made


def drifted(index: int, color: float, *, is_large: bool) -> pb.KeyFrame:
    made = key(index, anchor_index=0)
    made.takes[0].drift.CopyFrom(
        pb.Drift(anchor_index=0, color=color, structure=0.001, is_large=is_large)
    )
    return made


@pytest.fixture
def open_keys(open_window: OpenWindow, fake_server: FakeServer, qtbot: QtBot) -> OpenKeys:
    """Opens the panel on these key frames."""

    def open_(*keys: pb.KeyFrame) -> Window:
        fake_server.session.key_frames.extend(keys)
        window = open_window(fake_server.socket, "")
        qtbot.waitUntil(lambda: window.is_settled)
        return window

    return open_


def row(window: Window, number: int) -> str:
    """What the list of key frames says."""
    model = window.key_list.keys
    return str(model.data(model.index(number)))


def has_anchor_sign(window: Window, frame: int) -> bool:
    """Whether something is painted beside the diamond of this key frame."""
    centre = (window.timeline.point_of(frame, KEYS) + ANCHOR_BESIDE).toPoint()
    image = window.timeline.grab(QRect(centre - QPoint(4, 4), centre + QPoint(4, 4))).toImage()
    return any(
        image.pixelColor(x, y).lightness() > 120
        for x in range(image.width())
        for y in range(image.height())
    )


def test_an_anchor_is_made_by_button_key_and_menu_and_taken_back(
    open_keys: OpenKeys, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = open_keys(key(20), key(40, anchor_index=20))
    card = window.key_card

    def is_marked() -> bool:
        return window.editor.model.unsent_edits == 0 and fake_server.session.key_frames[1].anchor

    QTest.mouseClick(window.timeline, LEFT, pos=window.timeline.point_of(40, KEYS).toPoint())
    assert not card.anchor.isChecked()
    assert not has_anchor_sign(window, 40)
    QTest.mouseClick(card.anchor, LEFT)
    qtbot.waitUntil(is_marked)
    assert card.anchor.isChecked()
    assert has_anchor_sign(window, 40)
    assert "anchor" in row(window, 1)

    QTest.keyClick(window, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: not is_marked())
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(is_marked)

    place = window.timeline.point_of(20, KEYS).toPoint()
    reason = QContextMenuEvent.Reason.Mouse
    asked = QContextMenuEvent(reason, place, window.timeline.mapToGlobal(place))
    QApplication.sendEvent(window.timeline, asked)
    assert window.editor.model.selected == 20
    texts = [action.text() for action in window.key_menu.actions()]
    assert "Make it an anchor" in texts
    window.key_menu.actions()[texts.index("Make it an anchor")].trigger()
    qtbot.waitUntil(lambda: fake_server.session.key_frames[0].anchor)
    window.key_menu.close()


def test_what_others_are_painted_against_is_shown_without_a_mark(open_keys: OpenKeys) -> None:
    window = open_keys(key(20), key(40, anchor_index=20))
    assert has_anchor_sign(window, 20)
    assert not has_anchor_sign(window, 40)
    assert "anchor" in row(window, 0)
    window.editor.select(40)
    assert window.key_card.facts.text() == "Painted against key frame 20."


def test_a_painter_that_does_not_look_at_others_has_no_anchors(
    open_keys: OpenKeys, fake_server: FakeServer
) -> None:
    fake_server.session.settings.translation.painter = "style"
    fake_server.info.painters.add(name="style", label="Quick style", available=True)
    window = open_keys(key(0))
    window.editor.select(0)
    assert not window.key_card.anchor.isEnabled()


def test_the_drift_is_told_and_marked_where_it_is_large(open_keys: OpenKeys) -> None:
    window = open_keys(key(0), drifted(20, 2.5, is_large=False), drifted(40, 9.0, is_large=True))
    told = window.key_card.drift
    window.editor.select(0)
    assert not told.isVisible()
    window.editor.select(20)
    assert told.text() == "Drift from key 0: colour 2.5, structure 0.001"
    window.editor.select(40)
    assert told.text() == "▲ Drift from key 0: colour 9.0, structure 0.001"
    assert ["drifted" in row(window, number) for number in range(3)] == [False, False, True]


def test_key_frames_painted_against_older_ones_are_painted_again_on_demand_with_their_price(
    open_keys: OpenKeys, fake_server: FakeServer, qtbot: QtBot
) -> None:
    window = open_keys(key(0), key(20, state=OLDER), key(40), key(60, state=OLDER))
    offer = window.key_list
    assert offer.older.text() == "2 against an older key"
    qtbot.waitUntil(lambda: offer.renew.text() == "Paint again · 1 min 10 s")
    window.editor.select(20)
    assert window.key_card.paint.text() == "Paint again  R · 1 min 10 s"
    assert not [r for r in fake_server.requests if isinstance(r, render_pb2.StartJobRequest)]

    QTest.mouseClick(offer.renew, LEFT)
    qtbot.waitUntil(lambda: bool(fake_server.asked(render_pb2.StartJobRequest)))
    (asked,) = fake_server.asked(render_pb2.StartJobRequest)
    assert (asked.range.first, asked.range.last) == (20, 60)
    assert asked.keys_only
    assert asked.renew


def test_whatever_a_key_frame_tells_its_card_fits_its_column(open_keys: OpenKeys) -> None:
    told = drifted(40, 123.4, is_large=True)
    told.MergeFrom(
        pb.KeyFrame(
            state=OLDER,
            anchor=True,
            prompt="a long prompt " * 20,
            prompt_addition="more of it " * 20,
            negative_prompt="none of that " * 20,
            strength=0.1,
            seed=2**31 - 1,
            controlnet_weight=1.0,
            controlnet_2_weight=1.0,
        )
    )
    window = open_keys(key(0), told)
    window.editor.select(40)
    for card in (window.key_card, window.key_list):
        assert card.minimumSizeHint().width() <= CARDS_WIDTH - 12


def test_the_weight_of_a_controlnet_that_is_not_there_is_not_offered(
    open_keys: OpenKeys, fake_server: FakeServer
) -> None:
    fake_server.session.settings.translation.controlnet = ""
    window = open_keys(key(0), key(20, controlnet_2_weight=0.4))
    fields = window.key_card.fields
    window.editor.select(0)
    assert not fields["controlnet_weight"].isVisible()
    assert not fields["controlnet_2_weight"].isVisible()
    window.editor.select(20)
    assert fields["controlnet_2_weight"].isVisible()  # to be taken away


def test_where_no_key_frame_is_older_nothing_is_offered(open_keys: OpenKeys) -> None:
    window = open_keys(key(0), key(20))
    assert not window.key_list.renew.isVisible()
    window.editor.select(20)
    assert window.key_card.paint.text() == "Paint key  R"


def test_a_price_that_nobody_measured_is_said_roughly(
    open_keys: OpenKeys, fake_server: FakeServer, qtbot: QtBot
) -> None:
    fake_server.estimate.seconds, fake_server.estimate.rough = 3060, True
    window = open_keys(key(0), key(20, state=OLDER))
    qtbot.waitUntil(lambda: window.key_list.renew.text() == "Paint again · roughly 50 min")
    window.editor.select(20)
    assert window.key_card.paint.text() == "Paint again  R · roughly 50 min"
    assert window.header.price.text().endswith("roughly 50 min")
