"""Sessions are measured, deleted and cleaned, whoever looks on, whenever the server is killed."""

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1.render_pb2 import SendSourceFramesRequest, StartJobRequest
from inbetween.v1.session_pb2 import (
    JobState,
    ListSessionsRequest,
    OpenSessionRequest,
    Session,
)
from inbetween.v1.upkeep_pb2 import (
    CleanSessionsRequest,
    DeleteSessionRequest,
    MeasureSessionsRequest,
    SessionUsage,
)
from inbetween.v1.upkeep_pb2_grpc import UpkeepServiceStub

from server.serving import RunningServer, ServerOptions, serve
from tests.patience import PATIENCE_SECONDS
from tests.server.conftest import QUICK, Caller, Pixels
from tests.server.test_effect import Effect, pieces
from tests.server.test_key_frames import import_painting, painting
from tests.server.test_serving import server_process


@pytest.fixture
def upkeep(render_server: RunningServer) -> Iterator[UpkeepServiceStub]:
    with grpc.insecure_channel(render_server.address) as channel:
        yield UpkeepServiceStub(channel)


def usage_of(upkeep: UpkeepServiceStub, session_id: str) -> SessionUsage:
    (usage,) = upkeep.MeasureSessions(MeasureSessionsRequest(session_id=session_id)).sessions
    return usage


def refusal(error: "pytest.ExceptionInfo[grpc.RpcError]") -> tuple[grpc.StatusCode, str | None]:
    return error.value.code(), error.value.details()


def test_what_a_session_takes_is_told_part_by_part(
    caller: Caller, upkeep: UpkeepServiceStub, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0, 6])
    import_painting(caller, session, 9, painting((96, 64), (255, 0, 51)))
    assert caller.run(session.id, (0, 6)).state == JobState.JOB_STATE_DONE
    usage = usage_of(upkeep, session.id)
    folder = Path(usage.folder)
    assert usage.takes == 3
    assert usage.finished_frames == 7
    assert list(usage.imported_frames) == [9]
    assert usage.source_bytes == 0
    for part in ("work", "takes", "sequence"):
        files = [path for path in (folder / part).iterdir() if path.is_file()]
        assert getattr(usage, f"{part}_bytes") == sum(path.stat().st_size for path in files) > 0


def test_cleaning_frees_the_work_and_costs_no_take_and_no_result(
    caller: Caller, upkeep: UpkeepServiceStub, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0, 6])
    caller.run(session.id, (0, 6))
    before = usage_of(upkeep, session.id)
    answer = upkeep.CleanSessions(CleanSessionsRequest(session_id=session.id))
    assert answer.freed_bytes == before.work_bytes
    after = usage_of(upkeep, session.id)
    assert after.work_bytes == 0
    assert (after.takes_bytes, after.sequence_bytes) == (before.takes_bytes, before.sequence_bytes)
    assert after.used_at == before.used_at
    assert caller.states(session.id)[:7] == ["READY"] * 7
    caller.set_keys(session.id, [0, 5])
    again = caller.run(session.id, (0, 5))
    assert again.state == JobState.JOB_STATE_DONE, again.error
    assert again.done.paintings == 1  # that of key frame 5; the one of 0 is a take


def test_a_deleted_session_is_gone_from_books_and_disk_and_its_clip_can_be_opened_again(
    caller: Caller, upkeep: UpkeepServiceStub, tiny_clip: Path
) -> None:
    session, other = caller.open(tiny_clip, keys=[0]), caller.open(tiny_clip, keys=[3])
    caller.run(session.id, (0, 2))
    usage = usage_of(upkeep, session.id)
    answer = upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))
    assert answer.freed_bytes >= usage.work_bytes + usage.takes_bytes + usage.sequence_bytes
    assert not Path(usage.folder).exists()
    assert session.id not in {one.id for one in listed(caller)}
    with pytest.raises(grpc.RpcError) as error:
        upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))
    assert refusal(error)[0] == grpc.StatusCode.NOT_FOUND
    newer = caller.open(tiny_clip)
    ids = [one.id for one in listed(caller)]
    assert ids.index(other.id) < ids.index(newer.id)


def listed(caller: Caller) -> list[Session]:
    return list(caller.sessions.ListSessions(ListSessionsRequest()).sessions)


def test_a_session_whose_folder_somebody_deleted_can_be_deleted(
    caller: Caller, upkeep: UpkeepServiceStub, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    shutil.rmtree(usage_of(upkeep, session.id).folder)
    assert upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id)).freed_bytes == 0
    assert session.id not in {one.id for one in listed(caller)}


def test_who_watches_a_session_is_told_that_it_was_deleted(
    caller: Caller, upkeep: UpkeepServiceStub, tiny_clip: Path
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    with caller.watching(session.id) as events:
        next(events)
        upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))
        with pytest.raises(grpc.RpcError) as error:
            list(events)
    code, sentence = refusal(error)
    assert code == grpc.StatusCode.NOT_FOUND
    assert sentence == f"Session {session.id} was deleted: open its clip again."


def test_a_session_that_is_rendered_is_neither_deleted_nor_cleaned(
    caller: Caller, upkeep: UpkeepServiceStub, small_clip: Path
) -> None:
    session = caller.open(small_clip, keys=[0, 23])
    caller.render.StartJob(StartJobRequest(session_id=session.id))
    with pytest.raises(grpc.RpcError) as error:
        upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))
    code, sentence = refusal(error)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "is being rendered" in str(sentence)
    answer = upkeep.CleanSessions(CleanSessionsRequest(session_id=session.id))
    assert list(answer.busy_session_ids) == [session.id]
    job = caller.run(session.id)  # joins the one that was not harmed
    assert job.state == JobState.JOB_STATE_DONE, job.error
    upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))


KILLED_WHILE_DELETING = """
import os, signal, sys
from server import database
from server.calls import upkeep
from server.serving import ServerOptions, run_server

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "before the books":
    database.Database.delete_session = die
else:
    upkeep.shutil.rmtree = die
run_server(ServerOptions())
"""


@pytest.mark.parametrize("moment", ["before the books", "after the books"])
def test_a_server_killed_while_it_deletes_leaves_the_whole_session_or_none_of_it(
    short_folder: Path, tiny_clip: Path, moment: str
) -> None:
    with server_process(short_folder, KILLED_WHILE_DELETING, moment) as (process, caller):
        session = caller.open(tiny_clip, keys=[0])
        caller.run(session.id, (0, 2))
        folder = Path(session.folder).parent
        files = sorted(path.name for path in folder.rglob("*"))
        request = DeleteSessionRequest(session_id=session.id)
        with (
            grpc.insecure_channel(f"unix:{short_folder}/run/server.sock") as channel,
            pytest.raises(grpc.RpcError),
        ):
            UpkeepServiceStub(channel).DeleteSession(request)
        assert process.wait(timeout=PATIENCE_SECONDS) == -signal.SIGKILL
    with server_process(short_folder) as (_, caller):
        known = [one.id for one in caller.sessions.ListSessions(ListSessionsRequest()).sessions]
        if moment == "before the books":
            assert known == [session.id]
            assert caller.states(session.id)[:3] == ["READY"] * 3
            assert sorted(path.name for path in folder.rglob("*")) == files
        else:
            assert known == []
            assert list(folder.parent.iterdir()) == []


def test_a_host_that_still_sends_frames_brings_no_deleted_session_back(
    short_folder: Path, footage: list[Pixels]
) -> None:
    options = ServerOptions(short_folder / "s", short_folder / "l", short_folder / "h")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        upkeep = UpkeepServiceStub(channel)
        effect = Effect(Caller.on(channel), footage, "/a.mov", QUICK)
        request = OpenSessionRequest(clip=effect.clip, settings=QUICK)
        session = effect.caller.sessions.OpenSession(request).session

        def parts() -> Iterator[SendSourceFramesRequest]:
            yield SendSourceFramesRequest(session_id=session.id)
            for index in (0, 1):
                rgba = np.dstack([footage[index], np.full((64, 96), 255, np.uint8)])
                for piece in pieces(index, rgba.tobytes()):
                    yield SendSourceFramesRequest(frame=piece)
                if index == 0:
                    while not usage_of(upkeep, session.id).source_bytes:
                        time.sleep(0.02)
                    upkeep.DeleteSession(DeleteSessionRequest(session_id=session.id))

        with pytest.raises(grpc.RpcError) as error:
            effect.caller.render.SendSourceFrames(parts(), timeout=PATIENCE_SECONDS)
        assert refusal(error)[0] == grpc.StatusCode.NOT_FOUND
    assert list((short_folder / "h" / "sessions").iterdir()) == []
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        assert not Caller.on(channel).sessions.ListSessions(ListSessionsRequest()).sessions
