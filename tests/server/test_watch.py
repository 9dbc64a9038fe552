"""Watching: everybody who looks sees the same, and nobody waits for the slowest."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import grpc
from inbetween.v1.session_pb2 import (
    AddKeyFrameRequest,
    GetSessionRequest,
    JobState,
    KeyFrame,
    WatchResponse,
)

from server.serving import ServerOptions, serve
from tests.server.conftest import ENDED, Caller


def test_a_watch_begins_with_the_session_as_it_is(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[3])
    with caller.watching(session.id) as events:
        first, second = islice(events, 2)
    assert first.session == session
    (run,) = second.frames.runs
    assert (run.range.first, run.range.last) == (0, 11)


def test_two_clients_see_each_others_edits_and_the_job(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[0])
    with caller.watching(session.id) as one, caller.watching(session.id) as other:
        next(one), next(other)
        caller.sessions.AddKeyFrame(
            AddKeyFrameRequest(session_id=session.id, key_frame=KeyFrame(index=4))
        )
        job = caller.run(session.id, (0, 4))
        for events in (one, other):
            seen = list(_until(events, lambda event: event.job.state in ENDED))
            sessions = [event.session for event in seen if event.HasField("session")]
            assert [key.index for key in sessions[-1].key_frames] == [0, 4]
            assert (seen[-1].job.id, seen[-1].job.state) == (job.id, JobState.JOB_STATE_DONE)


def test_a_watcher_that_does_not_read_holds_up_nobody(caller: Caller, tiny_clip: Path) -> None:
    session = caller.open(tiny_clip, keys=[0, 5])
    with caller.watching(session.id) as slow:
        next(slow)
        for number in range(300):
            caller.set_keys(session.id, [0, 1 + number % 9])
        request = GetSessionRequest(session_id=session.id)
        revision = caller.sessions.GetSession(request).session.revision
        told = list(_until(slow, lambda event: event.session.revision == revision))
    assert len(told) < 300


def test_a_watch_ends_with_its_server(short_folder: Path, tiny_clip: Path) -> None:
    options = ServerOptions(short_folder / "s", short_folder / "l", short_folder / "h")
    with serve(options) as server:
        channel = grpc.insecure_channel(server.address)
        caller = Caller.on(channel)
        watching = caller.watching(caller.open(tiny_clip).id)
        events = watching.__enter__()
        next(events)
    with channel:
        assert [event.WhichOneof("event") for event in events] == ["frames"]


def _until(
    events: Iterator[WatchResponse], is_last: Callable[[WatchResponse], bool]
) -> Iterator[WatchResponse]:
    for event in events:
        yield event
        if is_last(event):
            return
