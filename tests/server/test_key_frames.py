"""Key frames: placed by the interval or by hand, and what each edit does to both."""

from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest
from inbetween.v1.render_pb2 import PICTURE_TAKE, ReadFrameRequest
from inbetween.v1.session_pb2 import (
    AddKeyFrameRequest,
    DeleteKeyFrameRequest,
    EditKeyFrameRequest,
    GetSessionRequest,
    ImportPaintingRequest,
    KeyFrame,
    KeyFrameState,
    MoveKeyFrameRequest,
    PaintingDescription,
    Placement,
    Session,
    SizeRule,
    UpdateSettingsRequest,
)
from inbetween.v1.settings_pb2 import KeySettings, Settings

from engine.errors import InbetweenError
from server.client import Client
from server.serving import RunningServer
from tests.server.conftest import Caller

EVERY_FOUR = Settings(keys=KeySettings(key_interval=4))


def automatic(session: Session) -> list[int]:
    return [
        key.index for key in session.key_frames if key.placement == Placement.PLACEMENT_AUTOMATIC
    ]


def by_hand(session: Session) -> list[int]:
    return [key.index for key in session.key_frames if key.placement == Placement.PLACEMENT_HAND]


def test_the_interval_places_key_frames_and_one_on_the_last_frame(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, settings=EVERY_FOUR)
    assert automatic(session) == [0, 4, 8, 11]


def test_another_interval_replaces_the_automatic_key_frames_only(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, settings=EVERY_FOUR)
    caller.sessions.AddKeyFrame(
        AddKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=6))
    )
    caller.sessions.EditKeyFrame(
        EditKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=8, seed=7))
    )
    caller.sessions.MoveKeyFrame(
        MoveKeyFrameRequest(session_id=session.id, from_index=4, to_index=5)
    )
    settings = Settings(keys=KeySettings(key_interval=6))
    changed = caller.sessions.UpdateSettings(
        UpdateSettingsRequest(session_id=session.id, settings=settings)
    ).session
    assert by_hand(changed) == [5, 6, 8]
    assert automatic(changed) == [0, 11]


def test_deleting_an_automatic_key_frame_removes_just_that_one(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, settings=EVERY_FOUR)
    deleted = caller.sessions.DeleteKeyFrame(
        DeleteKeyFrameRequest(session_id=session.id, index=4)
    ).session
    assert automatic(deleted) == [0, 8, 11]
    assert deleted.revision == session.revision + 1


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([3, 12], "Key frame 12 lies outside the clip: choose a frame from 0 to 11."),
        ([3, 3], "Key frame 3 is given twice: name it once."),
    ],
)
def test_a_wrong_key_frame_list_changes_nothing(
    caller: Caller, tiny_clip: Path, keys: list[int], sentence: str
) -> None:
    session = caller.open(tiny_clip, keys=[1])
    with pytest.raises(grpc.RpcError) as refusal:
        caller.set_keys(session.id, keys)
    assert refusal.value.details() == sentence
    after = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert after == session


def test_two_key_frames_cannot_stand_at_one_frame(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[1, 5])
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.AddKeyFrame(
            AddKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=5))
        )
    assert refusal.value.code() == grpc.StatusCode.ALREADY_EXISTS
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.MoveKeyFrame(
            MoveKeyFrameRequest(session_id=session.id, from_index=1, to_index=5)
        )
    assert refusal.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_a_key_frame_checks_its_own_values_like_the_settings(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip)
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.AddKeyFrame(
            AddKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=5, strength=1.5))
        )
    assert refusal.value.details() == "strength is 1.5: choose a number from 0 to 1."


def test_a_take_is_kept_when_another_prompt_is_painted_and_can_be_chosen_again(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[5])
    assert session.key_frames[0].state == KeyFrameState.KEY_FRAME_STATE_UNPAINTED
    caller.run(session.id, keys_only=True)
    first = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    old = first.key_frames[0].take
    assert first.key_frames[0].state == KeyFrameState.KEY_FRAME_STATE_READY

    edited = caller.sessions.EditKeyFrame(
        EditKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=5, prompt="frost"))
    ).session.key_frames[0]
    assert (edited.state, edited.take) == (KeyFrameState.KEY_FRAME_STATE_OUT_OF_DATE, old)
    caller.run(session.id, keys_only=True)
    second = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert [take.prompt for take in second.key_frames[0].takes] == ["mosaic", "frost"]
    assert second.key_frames[0].take == second.key_frames[0].takes[1].address

    chosen = caller.sessions.EditKeyFrame(
        EditKeyFrameRequest(
            session_id=session.id,
            key_frame=KeyFrame(index=5, prompt="frost", chosen_take=old),
        )
    ).session.key_frames[0]
    assert (chosen.state, chosen.take) == (KeyFrameState.KEY_FRAME_STATE_READY, old)
    job = caller.run(session.id, keys_only=True)
    assert job.done.paintings == 0


def test_a_take_of_another_frame_cannot_be_chosen(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[5, 7])
    caller.run(session.id, keys_only=True)
    painted = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.EditKeyFrame(
            EditKeyFrameRequest(
                session_id=session.id,
                key_frame=KeyFrame(index=5, chosen_take=painted.key_frames[1].take),
            )
        )
    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND


def painting(size: tuple[int, int], color: tuple[int, int, int]) -> bytes:
    """A PNG file, width x height, in one RGB colour."""
    pixels = np.full((size[1], size[0], 3), color[::-1], np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


def import_painting(
    caller: Caller,
    session: Session,
    index: int,
    file: bytes,
    rule: SizeRule.ValueType = SizeRule.SIZE_RULE_REFUSE,
) -> Session:
    description = PaintingDescription(
        session_id=session.id, index=index, file_name="mine.png", size_rule=rule
    )
    halves = [file[: len(file) // 2], file[len(file) // 2 :]]
    parts = [
        ImportPaintingRequest(description=description),
        *(ImportPaintingRequest(file_bytes=half) for half in halves),
    ]
    return caller.sessions.ImportPainting(iter(parts)).session


def test_an_imported_painting_is_the_take_of_a_key_frame_that_it_places(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip)
    key = import_painting(caller, session, 4, painting((96, 64), (255, 0, 51))).key_frames[0]
    assert (key.index, key.placement) == (4, Placement.PLACEMENT_HAND)
    assert key.chosen_take == key.take == key.takes[0].address
    assert key.takes[0].painter == "painted"
    parts = caller.render.ReadFrame(
        ReadFrameRequest(session_id=session.id, index=4, picture=PICTURE_TAKE, take=key.take)
    )
    pixels = b"".join(part.frame.pixels for part in parts)
    assert pixels == bytes([255, 0, 51, 255]) * 96 * 64


def test_a_painting_of_another_size_is_refused_unless_a_rule_is_chosen(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip)
    small = painting((48, 48), (9, 9, 9))
    with pytest.raises(grpc.RpcError) as refusal:
        import_painting(caller, session, 4, small)
    assert "48x48" in str(refusal.value.details())
    fitted = import_painting(caller, session, 4, small, SizeRule.SIZE_RULE_FIT)
    assert fitted.key_frames[0].state == KeyFrameState.KEY_FRAME_STATE_READY


def test_a_hand_painted_key_frame_is_not_moved_away_from_its_frame(
    caller: Caller, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip)
    import_painting(caller, session, 4, painting((96, 64), (255, 0, 51)))
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.MoveKeyFrame(
            MoveKeyFrameRequest(session_id=session.id, from_index=4, to_index=6)
        )
    assert refusal.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "add a key frame at 6 and import a painting" in str(refusal.value.details())


@pytest.mark.parametrize(
    "file",
    [b"", b"no picture", painting((96, 64), (1, 2, 3))[:100]],
    ids=["empty", "text", "cut off"],
)
def test_a_damaged_painting_is_refused(caller: Caller, tiny_clip: Path, file: bytes) -> None:
    session = caller.open(tiny_clip)
    with pytest.raises(grpc.RpcError) as refusal:
        import_painting(caller, session, 4, file)
    assert refusal.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert str(refusal.value.details()).startswith("mine.png is")


def test_a_client_that_has_not_seen_a_change_keeps_it_or_is_refused(
    render_server: RunningServer, caller: Caller, tiny_clip: Path
) -> None:
    seen = caller.open(tiny_clip, keys=[1])
    add = AddKeyFrameRequest(session_id=seen.id, key_frame=KeyFrame(index=5))
    caller.sessions.AddKeyFrame(add)
    seen.settings.translation.prompt = "frost"
    with grpc.insecure_channel(render_server.address) as channel:
        client = Client(channel)
        changed = client.update_settings(seen.id, seen.settings, ["translation.prompt"])
        assert changed.settings.translation.prompt == "frost"
        with pytest.raises(InbetweenError, match="changed by somebody else: it is at revision"):
            client.set_key_frames(seen, [KeyFrame(index=2)])
        assert by_hand(client.session(seen.id).session) == [1, 5]
        assert by_hand(client.set_key_frames(changed, [KeyFrame(index=2)])) == [2]
