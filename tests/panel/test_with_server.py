"""The panel on a real server, by real clicks and keys."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import grpc
import pytest
from inbetween.v1 import session_pb2 as pb
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    TranslationSettings,
)
from inbetween.v1.upkeep_pb2 import DeleteSessionRequest
from inbetween.v1.upkeep_pb2_grpc import UpkeepServiceStub
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from panel.model.session import Link
from panel.widgets.fields import NumberField, PromptField
from panel.widgets.lanes import CLIP, KEYS, Lane
from panel.window import Window
from server.serving import RunningServer, ServerOptions, serve
from tests.panel.conftest import OpenWindow

LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
FRAMES = 8
QUICK = Settings(
    keys=KeySettings(key_interval=0),
    translation=TranslationSettings(painter="style", prompt="mosaic", strength=0.8),
    propagation=PropagationSettings(quality="draft"),
)


@dataclass
class Opened:
    """A window on a session, and the session as another client sees it."""

    window: Window
    sessions: SessionServiceStub
    session_id: str

    @property
    def stored(self) -> pb.Session:
        return self.sessions.GetSession(pb.GetSessionRequest(session_id=self.session_id)).session

    @property
    def keys(self) -> list[int]:
        return [key.index for key in self.stored.key_frames]

    def has_keys(self, key_frames: list[pb.KeyFrame]) -> bool:
        return list(self.stored.key_frames) == key_frames

    def at(self, frame: int, lane: Lane) -> QPoint:
        return self.window.timeline.point_of(frame, lane).toPoint()

    def click(self, frame: int, lane: Lane) -> None:
        QTest.mouseClick(self.window.timeline, LEFT, pos=self.at(frame, lane))

    def drag_key(self, frame: int, to_frame: int) -> None:
        timeline = self.window.timeline
        QTest.mousePress(timeline, LEFT, pos=self.at(frame, KEYS))
        QTest.mouseMove(timeline, self.at((frame + to_frame) // 2, KEYS))
        QTest.mouseMove(timeline, self.at(to_frame, KEYS))
        QTest.mouseRelease(timeline, LEFT, pos=self.at(to_frame, KEYS))

    def key(
        self,
        key: Qt.Key,
        modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        QTest.keyClick(self.window, key, modifier)


@pytest.fixture(scope="module")
def clip(bunny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of bunny at 96x54."""
    path = tmp_path_factory.mktemp("clips") / "A012_C004.mp4"
    with av.open(str(path), "w") as output, av.open(str(bunny)) as source:
        video = output.add_stream("libx264", rate=25, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = 96, 54, "yuv420p"
        for index, frame in zip(range(FRAMES), source.decode(video=0), strict=False):
            small = frame.reformat(width=96, height=54, format="yuv420p")
            small.pts, small.time_base = index, Fraction(1, 25)
            small.pict_type = av.video.frame.PictureType.NONE
            output.mux(video.encode(small))
        output.mux(video.encode(None))
    return path


@pytest.fixture(scope="module")
def sessions(render_server: RunningServer) -> Iterator[SessionServiceStub]:
    with grpc.insecure_channel(render_server.address) as channel:
        yield SessionServiceStub(channel)


@pytest.fixture
def open_session(
    clip: Path,
    sessions: SessionServiceStub,
    render_server: RunningServer,
    open_window: OpenWindow,
    qtbot: QtBot,
) -> Callable[..., Opened]:
    """Opens the panel on a new session with key frames at these frames."""

    def open_(*keys: int) -> Opened:
        request = pb.OpenSessionRequest(
            clip=pb.Clip(media_path=str(clip)), settings=QUICK, fresh=True
        )
        session_id = sessions.OpenSession(request).session.id
        placed = [pb.KeyFrame(index=key, placement=pb.PLACEMENT_HAND) for key in keys]
        sessions.SetKeyFrames(pb.SetKeyFramesRequest(session_id=session_id, key_frames=placed))
        window = open_window(render_server.socket, session_id)
        qtbot.waitUntil(lambda: window.is_settled)
        return Opened(window, sessions, session_id)

    return open_


OpenSession = Callable[..., Opened]


def test_key_frames_are_added_moved_and_deleted_with_the_mouse(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session()
    QTest.mouseDClick(opened.window.timeline, LEFT, pos=opened.at(3, KEYS))
    qtbot.waitUntil(lambda: opened.keys == [3])
    opened.drag_key(3, 6)
    qtbot.waitUntil(lambda: opened.keys == [6])
    assert opened.window.editor.model.selected == 6
    opened.click(1, CLIP)
    assert opened.window.editor.model.playhead == 1
    opened.click(6, KEYS)
    assert opened.window.editor.model.playhead == 6
    QTest.mouseClick(opened.window.key_card.delete, LEFT)
    qtbot.waitUntil(lambda: opened.keys == [])


def test_key_frames_are_added_moved_and_deleted_with_the_keyboard(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(7)
    opened.key(Qt.Key.Key_Right)
    opened.key(Qt.Key.Key_Right)
    opened.key(Qt.Key.Key_M)
    qtbot.waitUntil(lambda: opened.keys == [2, 7])
    opened.key(Qt.Key.Key_Right, ALT)
    qtbot.waitUntil(lambda: opened.keys == [3, 7])
    opened.key(Qt.Key.Key_Right, CTRL)
    assert opened.window.editor.model.selected == 7
    opened.key(Qt.Key.Key_Up)
    assert opened.window.editor.model.selected == 3
    opened.key(Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: opened.keys == [7])


def test_a_key_frame_is_not_moved_onto_another(open_session: OpenSession, qtbot: QtBot) -> None:
    opened = open_session(2, 3)
    opened.drag_key(2, 3)
    opened.click(2, KEYS)
    opened.key(Qt.Key.Key_Right, ALT)
    opened.key(Qt.Key.Key_Left, ALT)
    qtbot.waitUntil(lambda: opened.keys == [1, 3])


def test_undo_and_redo_restore_the_key_frames_exactly(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1, 5)
    model = opened.window.editor.model
    states = [list(opened.stored.key_frames)]

    def settle() -> None:
        qtbot.waitUntil(lambda: model.unsent_edits == 0)
        states.append(list(opened.stored.key_frames))

    opened.click(1, KEYS)
    opened.window.editor.change_key("Change seed", seed=7)
    settle()
    opened.drag_key(1, 3)
    settle()
    opened.key(Qt.Key.Key_Delete)
    settle()
    for before in reversed(states[:-1]):
        opened.key(Qt.Key.Key_Z, CTRL)
        qtbot.waitUntil(partial(opened.has_keys, before))
    for after in states[1:]:
        opened.key(Qt.Key.Key_Z, CTRL | SHIFT)
        qtbot.waitUntil(partial(opened.has_keys, after))


def test_what_another_client_changes_appears(open_session: OpenSession, qtbot: QtBot) -> None:
    opened = open_session(1)
    request = pb.AddKeyFrameRequest(
        session_id=opened.session_id, key_frame=pb.KeyFrame(index=4, prompt="crayon")
    )
    opened.sessions.AddKeyFrame(request)
    model = opened.window.key_list.keys
    qtbot.waitUntil(lambda: model.rowCount() == 2)
    assert "crayon" in str(model.data(model.index(1)))


def test_a_setting_changed_in_the_form_reaches_the_server(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1)
    strength = opened.window.shot_card.field("strength")
    assert isinstance(strength, NumberField)
    strength.spin.selectAll()
    QTest.keyClicks(strength.spin, "0.5")
    QTest.keyClick(strength.spin, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: opened.stored.settings.translation.strength == 0.5)
    opened.key(Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: strength.spin.value() == 0.8)
    qtbot.waitUntil(lambda: opened.window.editor.model.unsent_edits == 0)
    assert opened.stored.settings.translation.strength == pytest.approx(0.8)


def test_a_setting_that_the_server_refuses_is_taken_back_with_its_sentence(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1)
    patch_size = opened.window.shot_card.field("patch_size")
    assert isinstance(patch_size, NumberField)
    patch_size.spin.selectAll()
    QTest.keyClicks(patch_size.spin, "4")
    QTest.keyClick(patch_size.spin, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "odd" in opened.window.status_bar.text.text())
    assert patch_size.spin.value() == 5
    assert not opened.window.editor.undo_stack.canUndo()


def test_a_setting_that_the_painter_does_not_use_is_disabled_and_says_why(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1)
    card = opened.window.shot_card
    assert not card.field("guidance_scale").isEnabled()
    assert "“style” does not use this" in card.field("guidance_scale").toolTip()
    painter = card.field("painter").findChild(QComboBox)
    assert painter is not None
    painter.setFocus()
    QTest.keyClick(painter, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: opened.stored.settings.translation.painter == "diffusion")
    assert card.field("guidance_scale").isEnabled()


def test_a_click_on_a_look_writes_it_into_the_prompt_and_a_modifier_behind_it(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1)
    card = opened.window.shot_card
    assert not card.looks.isVisible()  # the quick painter takes names only
    painter = card.field("painter").findChild(QComboBox)
    assert painter is not None
    painter.setFocus()
    QTest.keyClick(painter, Qt.Key.Key_Up)
    qtbot.waitUntil(card.looks.isVisible)
    prompt = card.field("prompt")
    assert isinstance(prompt, PromptField)
    prompt.text.setFocus()
    prompt.text.setPlainText("a Wood Engraving of a lion")

    def click(look: str) -> None:
        (item,) = card.looks.findItems(look, Qt.MatchFlag.MatchExactly)
        assert not item.icon().isNull()
        card.looks.scrollToItem(item)
        place = card.looks.visualItemRect(item).center()
        QTest.mouseClick(card.looks.viewport(), LEFT, pos=place)

    click("pastel")
    qtbot.waitUntil(lambda: opened.stored.settings.translation.prompt == "a pastel of a lion")
    assert prompt.text.toPlainText() == "a pastel of a lion"
    click("sepia")
    click("sepia")
    wanted = "a pastel of a lion, sepia"
    qtbot.waitUntil(lambda: opened.stored.settings.translation.prompt == wanted)


def test_a_key_is_painted_again_and_the_clip_rendered(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(2)
    window, model = opened.window, opened.window.editor.model
    opened.click(2, KEYS)
    opened.key(Qt.Key.Key_R)
    qtbot.waitUntil(lambda: model.is_rendering)
    assert window.status_bar.cancel.isVisible()
    qtbot.waitUntil(lambda: len(window.key_card.take_buttons) == 1)

    prompt = window.key_card.fields["prompt"]
    assert isinstance(prompt, PromptField)
    prompt.edited.emit("crayon")
    QTest.mouseClick(window.key_card.paint, LEFT)
    qtbot.waitUntil(lambda: len(window.key_card.take_buttons) == 2)
    qtbot.waitUntil(lambda: not model.is_rendering)
    first_take = opened.stored.key_frames[0].takes[0].address
    QTest.mouseClick(window.key_card.take_buttons[0], LEFT)
    qtbot.waitUntil(lambda: opened.stored.key_frames[0].chosen_take == first_take)

    QTest.mouseClick(window.header.render_all, LEFT)
    ready = lambda: model.frames.count(pb.FRAME_STATE_READY) == FRAMES  # noqa: E731
    qtbot.waitUntil(ready)
    qtbot.waitUntil(lambda: not model.is_rendering)
    opened.key(Qt.Key.Key_End)
    qtbot.waitUntil(lambda: window.is_settled)
    assert window.viewer.result_shown.label == "B  RESULT"
    result, source = _middle(window, Qt.Key.Key_2), _middle(window, Qt.Key.Key_1)
    assert result != source
    qtbot.waitUntil(lambda: window.header.price.text() == "To render: nothing left to render")


def test_a_key_frame_takes_values_of_its_own_and_gives_them_back(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(2, 5)
    painter = opened.window.shot_card.field("painter").findChild(QComboBox)
    assert painter is not None
    painter.setFocus()
    QTest.keyClick(painter, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: opened.stored.settings.translation.painter == "diffusion")
    opened.click(5, KEYS)
    card = opened.window.key_card
    addition = card.fields["prompt_addition"].findChild(QLineEdit)
    weight = card.fields["controlnet_weight"]
    assert addition is not None
    assert isinstance(weight, NumberField)
    assert weight.spin.value() == pytest.approx(0.7)
    addition.setFocus()
    QTest.keyClicks(addition, "cold light")
    QTest.keyClick(addition, Qt.Key.Key_Return)
    weight.spin.selectAll()
    QTest.keyClicks(weight.spin, "0.25")
    QTest.keyClick(weight.spin, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: opened.stored.key_frames[1].controlnet_weight == 0.25)
    assert opened.stored.key_frames[1].prompt_addition == "cold light"
    assert not opened.stored.key_frames[0].HasField("controlnet_weight")
    assert card.own.text() == "This key only · 2 set"
    assert card.own.toggleButton().toolTip() == "prompt addition, controlnet weight"

    as_clip = card.as_clip["controlnet_weight"]
    qtbot.waitUntil(lambda: as_clip.height() >= as_clip.sizeHint().height())  # laid out by now
    QTest.mouseClick(as_clip, LEFT)
    qtbot.waitUntil(lambda: not opened.stored.key_frames[1].HasField("controlnet_weight"))
    opened.key(Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: opened.stored.key_frames[1].controlnet_weight == 0.25)


def test_moving_a_key_renders_that_key_and_its_two_intervals_only(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(0, 2, 4, 7)
    model = opened.window.editor.model

    def rendered() -> pb.Job:
        qtbot.waitUntil(opened.window.header.render_all.isEnabled)
        opened.key(Qt.Key.Key_Return, CTRL)
        qtbot.waitUntil(lambda: model.is_rendering)
        qtbot.waitUntil(lambda: not model.is_rendering)
        assert model.job is not None
        assert model.job.state == pb.JOB_STATE_DONE
        return model.job

    assert rendered().done == pb.Cost(paintings=4, propagations=8, blends=4)
    opened.drag_key(4, 5)
    qtbot.waitUntil(lambda: opened.keys == [0, 2, 5, 7])
    qtbot.waitUntil(lambda: model.unsent_edits == 0)
    moved = rendered()
    # To frame 4 from key 2; to frames 4, 3 and 6 from key 5. Key 2 was carried to frame 3 and key 7
    # to frame 6 before. Nothing of the interval from 0 to 2 is done again.
    assert moved.done == pb.Cost(paintings=1, propagations=4, blends=3)
    assert moved.reused == pb.Cost(paintings=3, propagations=4, blends=1)


def test_space_plays_in_a_new_window_instead_of_pressing_a_button(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session()
    focus = opened.window.focusWidget()
    assert focus is opened.window.timeline
    QTest.keyClick(focus, Qt.Key.Key_Space)
    assert opened.window.playback.speed == 1
    opened.window.playback.stop()
    assert opened.keys == []


def test_a_long_name_of_a_clip_does_not_widen_the_window(
    open_session: OpenSession, qtbot: QtBot
) -> None:
    opened = open_session(1)
    window = opened.window
    window.resize(1280, 720)
    header = window.header
    for whole in (header.clip, header.facts, header.device, header.price):
        assert whole.shown == whole.text() != ""
    session = pb.Session()
    session.CopyFrom(opened.stored)
    session.revision += 1
    session.clip.media_path = f"/media/{'a long name ' * 20}.mov"
    window.connection.session_arrived.emit(session)
    assert header.clip.text().startswith("a long name")
    qtbot.waitUntil(lambda: "…" in header.clip.shown)
    assert window.minimumSizeHint().width() <= 1280
    assert window.width() == 1280


def test_a_painting_by_hand_becomes_the_key_frame(
    open_session: OpenSession, qtbot: QtBot, tmp_path: Path
) -> None:
    opened = open_session(3)
    card = opened.window.key_card
    opened.click(3, KEYS)
    painting = tmp_path / "moon.png"
    Image.new("RGB", (48, 54), (200, 40, 40)).save(painting)
    card.size_rule.setCurrentIndex(card.size_rule.findData(pb.SIZE_RULE_REFUSE))
    card.import_file(str(painting))
    qtbot.waitUntil(lambda: "48x54" in opened.window.status_bar.text.text())
    damaged = tmp_path / "sun.png"
    damaged.write_bytes(b"no picture")
    card.import_file(str(damaged))
    expected = "sun.png is damaged or no picture"
    qtbot.waitUntil(lambda: opened.window.status_bar.text.text().startswith(expected))
    card.size_rule.setCurrentIndex(card.size_rule.findData(pb.SIZE_RULE_CROP))
    card.import_file(str(painting))
    qtbot.waitUntil(lambda: len(card.take_buttons) == 1)
    assert opened.stored.key_frames[0].takes[0].painter == "painted"
    qtbot.waitUntil(lambda: "painted · ready" in card.state.text())


def test_edits_made_while_the_server_restarts_arrive(
    clip: Path, tmp_path_factory: pytest.TempPathFactory, open_window: OpenWindow, qtbot: QtBot
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    options = ServerOptions(folder / "server.sock", folder / "server.lock", folder / "home")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        request = pb.OpenSessionRequest(clip=pb.Clip(media_path=str(clip)), settings=QUICK)
        session_id = SessionServiceStub(channel).OpenSession(request).session.id
        window = open_window(server.socket, session_id)
        qtbot.waitUntil(lambda: window.is_settled)
    qtbot.waitUntil(lambda: window.editor.model.link is Link.GONE)
    QTest.keyClick(window, Qt.Key.Key_M)
    QTest.keyClick(window, Qt.Key.Key_Right, ALT)
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        opened = Opened(window, SessionServiceStub(channel), session_id)
        qtbot.waitUntil(lambda: opened.keys == [1])
        qtbot.waitUntil(lambda: window.editor.model.unsent_edits == 0)
        window.shut_down()


def test_a_panel_whose_session_is_deleted_says_so_and_opens_another_clip(
    open_session: OpenSession, render_server: RunningServer, clip: Path, qtbot: QtBot
) -> None:
    opened = open_session(2)
    window = opened.window
    with grpc.insecure_channel(render_server.address) as channel:
        request = DeleteSessionRequest(session_id=opened.session_id)
        UpkeepServiceStub(channel).DeleteSession(request)
    qtbot.waitUntil(lambda: window.editor.model.link is Link.NO_SESSION)
    assert window.strip.isVisible()
    assert window.strip.title.text() == "The session was deleted"
    assert opened.session_id in window.strip.text.text()
    QTest.keyClick(window, Qt.Key.Key_Right)
    QTest.keyClick(window, Qt.Key.Key_M)  # meant for the session that is gone
    assert window.editor.model.keys == [1, 2]
    window.connection.open_movie(clip)
    qtbot.waitUntil(lambda: window.editor.model.link is Link.CONNECTED)
    model = window.editor.model
    qtbot.waitUntil(lambda: model.session is not None and model.session.id != opened.session_id)
    assert model.session is not None
    assert model.unsent_edits == 0
    assert not window.editor.undo_stack.canUndo()
    there = Opened(window, opened.sessions, model.session.id)
    before = there.keys
    assert 1 not in before
    QTest.keyClick(window, Qt.Key.Key_M)  # this one is meant for the new session
    qtbot.waitUntil(lambda: there.keys == sorted([1, *before]))
    qtbot.waitUntil(
        lambda: not window.strip.isVisible() or "deleted" not in window.strip.title.text()
    )


def _middle(window: Window, view: Qt.Key) -> QImage:
    """The middle of the viewer in this view."""
    QTest.keyClick(window, view)
    image = window.viewer.grab().toImage()
    return image.copy(image.width() // 2 - 20, image.height() // 2 - 20, 40, 40)
