"""A session that two clients change at once keeps what both did."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from inbetween.v1 import session_pb2 as pb
from inbetween.v1.frame_pb2 import FrameRange, FrameSize, Rational
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from inbetween.v1.settings_pb2 import KeySettings, Settings, TranslationSettings
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from panel.model.edits import (
    AddKey,
    ChangeKey,
    ChangeSetting,
    DeleteKey,
    Edit,
    MoveKey,
    key_at,
)
from server.serving import RunningServer
from tests.panel.conftest import OpenWindow
from tests.panel.fake_server import FakeServer

CTRL = Qt.KeyboardModifier.ControlModifier
SETTINGS = Settings(
    keys=KeySettings(key_interval=0),
    translation=TranslationSettings(painter="style", prompt="mosaic", strength=0.8),
)
PROMPT = ChangeSetting("translation", "prompt", "frost", "Prompt")
STRENGTH = ChangeSetting("translation", "strength", 0.5, "Strength")


@pytest.fixture
def sessions(render_server: RunningServer) -> Iterator[SessionServiceStub]:
    with grpc.insecure_channel(render_server.address) as channel:
        yield SessionServiceStub(channel)


@pytest.fixture
def seen(sessions: SessionServiceStub, small_clip: Path) -> pb.Session:
    """A new session with key frames at 3 and 7, as both clients have seen it."""
    clip = pb.Clip(media_path=str(small_clip))
    request = pb.OpenSessionRequest(clip=clip, settings=SETTINGS, fresh=True)
    session = sessions.OpenSession(request).session
    for index in (3, 7):
        session = AddKey(index).send(sessions, session)
    return session


def own_prompt(index: int, prompt: str) -> Edit:
    return ChangeKey(index, (("prompt", prompt),), "Change")


def stored(sessions: SessionServiceStub, session: pb.Session) -> pb.Session:
    return sessions.GetSession(pb.GetSessionRequest(session_id=session.id)).session


def key_in(session: pb.Session, index: int) -> pb.KeyFrame:
    key = key_at(session, index)
    assert key is not None
    return key


def test_two_clients_change_two_settings(sessions: SessionServiceStub, seen: pb.Session) -> None:
    PROMPT.send(sessions, seen)
    both = STRENGTH.send(sessions, seen).settings.translation
    assert (both.prompt, both.strength) == ("frost", 0.5)


def test_the_effect_and_the_panel_change_two_settings(sessions: SessionServiceStub) -> None:
    effect = pb.OpenSessionRequest(
        clip=pb.Clip(
            host=pb.HostClip(application="A host", identity="two writers"),
            range=FrameRange(first=0, last=9),
            size=FrameSize(width=96, height=64),
            frame_rate=Rational(numerator=25, denominator=1),
        ),
        settings=SETTINGS,
    )
    seen = sessions.OpenSession(effect).session
    effect.settings.translation.prompt = "frost"
    sessions.OpenSession(effect)
    STRENGTH.send(sessions, seen)
    both = sessions.OpenSession(effect).session.settings.translation
    assert (both.prompt, both.strength) == ("frost", 0.5)


def test_two_clients_change_two_values_of_one_key_frame(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    own_prompt(3, "frost").send(sessions, seen)
    ChangeKey(3, (("seed", 5),), "Change").send(sessions, seen)
    both = key_in(stored(sessions, seen), 3)
    assert (both.prompt, both.seed) == ("frost", 5)


def test_undoing_a_change_of_a_key_frame_keeps_what_another_client_changed_of_it(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    edit = own_prompt(3, "frost")
    edit.send(sessions, seen)
    ChangeKey(3, (("seed", 5),), "Change").send(sessions, seen)
    edit.undone(seen).send(sessions, seen)
    left = key_in(stored(sessions, seen), 3)
    assert (left.HasField("prompt"), left.seed) == (False, 5)


def test_an_automatic_key_frame_that_another_client_changed_stays_the_editors_after_undoing(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    every_ten = ChangeSetting("keys", "key_interval", 10, "Key interval")
    seen = every_ten.send(sessions, seen)
    edit = own_prompt(10, "frost")
    edit.send(sessions, seen)
    ChangeKey(10, (("seed", 5),), "Change").send(sessions, seen)
    edit.undone(seen).send(sessions, seen)
    assert key_in(stored(sessions, seen), 10).placement == pb.PLACEMENT_HAND


def test_undoing_a_move_keeps_what_another_client_changed_of_the_key_frame(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    move = MoveKey(3, 5)
    moved = move.send(sessions, seen)
    changed = own_prompt(5, "frost").send(sessions, moved)
    back = move.undone(seen).send(sessions, changed)
    assert [key.index for key in back.key_frames] == [3, 7]
    assert key_in(back, 3).prompt == "frost"


def test_undoing_a_deletion_leaves_the_key_frame_that_another_client_has_placed_there(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    deletion = DeleteKey(3)
    placed = AddKey(3).send(sessions, deletion.send(sessions, seen))
    changed = own_prompt(3, "frost").send(sessions, placed)
    assert deletion.undone(seen).is_done(changed)


@pytest.mark.parametrize("undoing", [DeleteKey(3), MoveKey(3, 5)])
def test_undoing_is_refused_where_another_client_was_quicker(
    sessions: SessionServiceStub, seen: pb.Session, undoing: Edit
) -> None:
    known = undoing.send(sessions, seen)
    quicker = own_prompt(7, "frost").send(sessions, known)
    with pytest.raises(grpc.RpcError) as refusal:
        undoing.undone(seen).send(sessions, known)
    assert refusal.value.code() is grpc.StatusCode.ABORTED
    assert stored(sessions, seen) == quicker


def test_the_panel_undoes_on_top_of_what_another_client_did_unseen(
    fake_server: FakeServer, open_window: OpenWindow, qtbot: QtBot
) -> None:
    fake_server.change_keys([pb.KeyFrame(index=index) for index in (10, 20)])
    window = open_window(fake_server.socket, "")
    qtbot.waitUntil(lambda: window.is_settled)
    editor = window.editor
    editor.select(10)
    editor.delete_key()
    qtbot.waitUntil(lambda: editor.model.unsent_edits == 0 and fake_server.keys == [20])
    fake_server.session.revision += 1  # and nobody who watches hears of it
    fake_server.session.key_frames[0].prompt = "frost"
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: fake_server.keys == [10, 20])
    assert fake_server.session.key_frames[1].prompt == "frost"
    assert editor.undo_stack.canRedo()


def update_settings(seen: pb.Session, revision: int | None = None) -> pb.UpdateSettingsRequest:
    return pb.UpdateSettingsRequest(session_id=seen.id, settings=SETTINGS, if_revision=revision)


def edit_key_frame(seen: pb.Session, revision: int | None = None) -> pb.EditKeyFrameRequest:
    key = pb.KeyFrame(index=3, seed=9)
    return pb.EditKeyFrameRequest(session_id=seen.id, key_frame=key, if_revision=revision)


def set_key_frames(seen: pb.Session, revision: int | None = None) -> pb.SetKeyFramesRequest:
    keys = [pb.KeyFrame(index=1)]
    return pb.SetKeyFramesRequest(session_id=seen.id, key_frames=keys, if_revision=revision)


CALLS = {
    "UpdateSettings": update_settings,
    "EditKeyFrame": edit_key_frame,
    "SetKeyFrames": set_key_frames,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_change_for_another_revision_is_refused_and_changes_nothing(
    sessions: SessionServiceStub, seen: pb.Session, call: str
) -> None:
    changed = PROMPT.send(sessions, seen)
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(sessions, call)(CALLS[call](seen, seen.revision))
    assert refusal.value.code() is grpc.StatusCode.ABORTED
    assert refusal.value.details() == (
        f"The session was changed by somebody else: it is at revision {changed.revision}, not "
        f"{seen.revision}; look at it again, then repeat the change."
    )
    assert stored(sessions, seen) == changed
    getattr(sessions, call)(CALLS[call](seen, changed.revision))
    assert stored(sessions, seen).revision == changed.revision + 1


@pytest.mark.parametrize("call", CALLS)
def test_a_client_that_names_neither_revision_nor_fields_replaces_all(
    sessions: SessionServiceStub, seen: pb.Session, call: str
) -> None:
    PROMPT.send(sessions, seen)
    own_prompt(3, "frost").send(sessions, seen)
    getattr(sessions, call)(CALLS[call](seen))
    after = stored(sessions, seen)
    if call == "UpdateSettings":
        assert after.settings.translation.prompt == "mosaic"
    elif call == "EditKeyFrame":
        assert (key_in(after, 3).HasField("prompt"), key_in(after, 3).seed) == (False, 9)
    else:
        assert [key.index for key in after.key_frames] == [1]


@pytest.mark.parametrize(
    "path", ["", "prompt", "translation.promt", "translation.prompt.words", "translation.", "."]
)
def test_a_setting_that_there_is_not_is_refused(
    sessions: SessionServiceStub, seen: pb.Session, path: str
) -> None:
    request = update_settings(seen)
    request.changed.paths[:] = ["translation.strength", path]
    with pytest.raises(grpc.RpcError) as refusal:
        sessions.UpdateSettings(request)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == (
        f'There is no setting "{path}" to change: name it as settings.proto does, for example '
        '"translation.prompt".'
    )
    assert stored(sessions, seen) == seen


@pytest.mark.parametrize("name", ["index", "take", "takes", "anchor_index", "state", "", "promt"])
def test_what_only_the_server_knows_of_a_key_frame_is_not_changed(
    sessions: SessionServiceStub, seen: pb.Session, name: str
) -> None:
    request = edit_key_frame(seen)
    request.changed.paths[:] = ["seed", name]
    with pytest.raises(grpc.RpcError) as refusal:
        sessions.EditKeyFrame(request)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f'"{name}" of key frame 3 cannot be changed: choose ' in str(refusal.value.details())
    assert stored(sessions, seen) == seen


def test_an_empty_list_of_changes_changes_nothing(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    settings, key = update_settings(seen), edit_key_frame(seen)
    settings.settings.translation.prompt = "frost"
    settings.changed.CopyFrom(pb.FieldNames())
    key.changed.CopyFrom(pb.FieldNames())
    assert sessions.UpdateSettings(settings).session == seen
    assert sessions.EditKeyFrame(key).session == seen


def test_a_setting_that_is_named_without_a_value_goes_back_to_its_default(
    sessions: SessionServiceStub, seen: pb.Session
) -> None:
    one = pb.UpdateSettingsRequest(session_id=seen.id)
    one.changed.paths[:] = ["translation.prompt"]
    changed = sessions.UpdateSettings(one).session.settings.translation
    assert (changed.prompt != "mosaic", changed.strength) == (True, 0.8)
    one.changed.paths[:] = ["translation"]
    default = sessions.UpdateSettings(one).session.settings
    assert default.translation.strength != 0.8
    assert default.keys == seen.settings.keys
