"""Sessions: found again, kept, refused."""

from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from grpc_status import rpc_status
from inbetween.v1.session_pb2 import (
    Clip,
    GetSessionRequest,
    ListSessionsRequest,
    OpenSessionRequest,
    UpdateSettingsRequest,
)
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    SourceSettings,
    TranslationSettings,
)

from server.serving import ServerOptions, serve
from tests.server.conftest import Caller


def test_a_clip_finds_its_session_again(caller: Caller, carphone: Path) -> None:
    request = OpenSessionRequest(clip=Clip(media_path=str(carphone)))
    first = caller.sessions.OpenSession(request).session
    assert caller.sessions.OpenSession(request).session.id == first.id
    assert first.clip.range.last == 119
    assert (first.clip.size.width, first.clip.size.height) == (176, 144)
    assert (first.clip.frame_rate.numerator, first.clip.frame_rate.denominator) == (30000, 1001)


def test_fresh_makes_another_session_of_the_same_clip(caller: Caller, carphone: Path) -> None:
    request = OpenSessionRequest(clip=Clip(media_path=str(carphone)), fresh=True)
    ids = {caller.sessions.OpenSession(request).session.id for _ in range(2)}
    assert len(ids) == 2
    listed = caller.sessions.ListSessions(ListSessionsRequest()).sessions
    assert ids <= {session.id for session in listed}


def test_a_session_is_known_by_its_id_alone(caller: Caller, tiny_clip: Path) -> None:
    made = caller.open(tiny_clip, keys=[3])
    found = caller.sessions.OpenSession(OpenSessionRequest(session_id=made.id)).session
    assert found == caller.sessions.GetSession(GetSessionRequest(session_id=made.id)).session


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            Settings(keys=KeySettings(key_interval=-1)),
            "key_interval is -1: choose a number from 0 to 100000.",
        ),
        (
            Settings(translation=TranslationSettings(strength=float("nan"))),
            "strength is nan: choose a number from 0 to 1.",
        ),
        (
            Settings(translation=TranslationSettings(painter="oil")),
            'painter is "oil": choose diffusion or style or painted.',
        ),
        (
            Settings(propagation=PropagationSettings(patch_size=4)),
            "patch_size is 4: choose an odd number from 3 to 15.",
        ),
        (
            Settings(source=SourceSettings(color_space="acescg")),
            "color_space is acescg: a file tells its colour space itself, and this setting is for "
            "the pictures of a host; leave it at srgb.",
        ),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_changed(
    caller: Caller, tiny_clip: Path, settings: Settings, sentence: str
) -> None:
    session = caller.open(tiny_clip)
    settings.translation.prompt = "frost"
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.UpdateSettings(
            UpdateSettingsRequest(session_id=session.id, settings=settings)
        )
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == sentence
    after = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).session
    assert after == session


def test_a_refusal_says_its_reason_in_the_standard_details(caller: Caller) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.GetSession(GetSessionRequest(session_id="none"))
    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
    status = rpc_status.from_call(refusal.value)  # type: ignore[arg-type]
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOT_FOUND", "inbetween")


@pytest.mark.parametrize(
    ("name", "contents", "code"),
    [
        ("none.mp4", None, grpc.StatusCode.NOT_FOUND),
        ("empty.mp4", b"", grpc.StatusCode.FAILED_PRECONDITION),
        ("text.mp4", b"this is no movie", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_what_is_no_clip_is_refused_in_one_sentence(
    caller: Caller, tmp_path: Path, name: str, contents: bytes | None, code: grpc.StatusCode
) -> None:
    path = tmp_path / name
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.OpenSession(OpenSessionRequest(clip=Clip(media_path=str(path))))
    assert refusal.value.code() == code
    assert str(path) in str(refusal.value.details())


def test_clips_outside_the_roots_are_not_read(
    short_folder: Path, tiny_clip: Path, tmp_path: Path
) -> None:
    link = tmp_path / "linked"
    link.symlink_to(tiny_clip.parent)
    options = ServerOptions(
        short_folder / "s", short_folder / "l", short_folder / "h", roots=(tmp_path,)
    )
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        other = Caller.on(channel)
        for path in (tiny_clip, link / tiny_clip.name):
            with pytest.raises(grpc.RpcError) as refusal:
                other.open(path)
            assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_session_survives_the_end_of_its_server(short_folder: Path, tiny_clip: Path) -> None:
    options = ServerOptions(short_folder / "s", short_folder / "l", short_folder / "h")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        before = Caller.on(channel).open(tiny_clip, keys=[2, 9])
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        request = OpenSessionRequest(clip=Clip(media_path=str(tiny_clip)))
        assert Caller.on(channel).sessions.OpenSession(request).session == before
