"""A server that nobody uses ends by itself, and one that renders nothing gives its memory back."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import psutil
import pytest
from inbetween.v1.render_pb2 import StartJobRequest
from inbetween.v1.session_pb2 import JobState
from inbetween.v1.upkeep_pb2 import GetServerStatusRequest
from inbetween.v1.upkeep_pb2_grpc import UpkeepServiceStub

from server.client import connect
from server.launcher import is_running, server_process_id, stop_server
from server.serving import ServerOptions, serve
from tests.patience import PATIENCE_SECONDS, assert_ends, wait_until
from tests.server.conftest import Caller, children


@pytest.fixture
def rendezvous(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every server of the test is found; the last one is ended."""
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(short_folder))
    monkeypatch.setenv("INBETWEEN_HOME", str(short_folder / "home"))
    return short_folder


def options(folder: Path, idle_seconds: float = 0) -> ServerOptions:
    return ServerOptions(
        folder / "server.sock", folder / "server.lock", folder / "home", idle_seconds=idle_seconds
    )


@pytest.mark.parametrize("command", ["run", "start"])
def test_a_server_ends_by_itself_when_nobody_uses_it(
    rendezvous: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBETWEEN_IDLE_MINUTES", "0.05")
    arguments = [sys.executable, "-m", "server.cli", "server", command]
    assert subprocess.run(arguments, timeout=PATIENCE_SECONDS, check=False).returncode == 0
    wait_until(lambda: server_process_id() is None)
    assert "ends" in (rendezvous / "server.log").read_text()
    assert not is_running()


def test_a_server_stays_while_a_watch_is_open_or_a_job_is_at_work(
    rendezvous: Path, small_clip: Path
) -> None:
    with serve(options(rendezvous)) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        session = caller.open(small_clip, keys=[0, 6])
        with caller.watching(session.id) as events:
            next(events)
            assert server.use.seconds_left() is None
            assert not server.use.close_door()
        with server.jobs.held(session.id):  # so that it cannot be over yet
            job = caller.render.StartJob(StartJobRequest(session_id=session.id)).job
            assert not server.use.close_door()
        wait_until(server.use.close_door)
        assert server.jobs.get(job.id).state == JobState.JOB_STATE_DONE
        with pytest.raises(grpc.RpcError) as refusal:
            caller.set_keys(session.id, [3])
        assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
        assert not is_running()


def test_the_idle_time_begins_anew_with_every_call(rendezvous: Path) -> None:
    idle_seconds = 3600.0
    with serve(options(rendezvous, idle_seconds)) as server:

        def left() -> float:
            return server.use.seconds_left() or 0.0

        wait_until(lambda: 0 < left() < idle_seconds - 0.2)
        before = left()
        wait_until(lambda: is_running() and left() > before)  # To ask for its health is a call.
        assert not server.use.close_door()


def test_without_an_idle_time_a_server_stays(rendezvous: Path) -> None:
    with serve(ServerOptions()) as server:
        assert server.use.seconds_left() is None
        assert not server.use.close_door()


def test_who_comes_while_a_server_ends_has_its_edit_done_by_the_next_one(
    rendezvous: Path, tiny_clip: Path
) -> None:
    opened: list[str] = []

    def come() -> None:
        with connect() as client:
            opened.append(client.open_session(tiny_clip).id)

    comer = threading.Thread(target=come)
    with serve(options(rendezvous)) as ending:
        assert ending.use.close_door()
        before = set(children(os.getpid()))
        comer.start()
        wait_until(lambda: set(children(os.getpid())) - before)
    comer.join(timeout=PATIENCE_SECONDS)
    try:
        with connect(start=False) as client:
            assert [session.id for session in client.list_sessions()] == opened
            assert len(opened) == 1
    finally:
        stop_server()


def test_the_process_that_renders_ends_when_it_has_nothing_to_do(
    short_folder: Path, small_clip: Path
) -> None:
    folder = short_folder
    short = ServerOptions(folder / "s", folder / "l", folder / "h", worker_idle_seconds=0.0)
    with serve(short) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        session = caller.open(small_clip, keys=[0, 6])
        seen = set()
        for frames in ((0, 3), (4, 6)):
            for job in caller.follow(session.id, frames):
                if job.state == JobState.JOB_STATE_RUNNING and server.jobs.worker_process_id:
                    seen.add(server.jobs.worker_process_id)
            assert job.state == JobState.JOB_STATE_DONE, job.error
            wait_until(lambda: server.jobs.worker_process_id is None)
        assert len(seen) > 1
        for process in seen:
            assert_ends(process)
        status = UpkeepServiceStub(channel).GetServerStatus(GetServerStatusRequest())
        assert status.worker_process_id == 0


def test_the_process_that_renders_stays_for_the_next_job(
    short_folder: Path, small_clip: Path
) -> None:
    folder = short_folder
    lasting = ServerOptions(folder / "s", folder / "l", folder / "h", worker_idle_seconds=3600)
    with serve(lasting) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        session = caller.open(small_clip, keys=[0])
        processes = []
        for frames in ((0, 1), (2, 3)):
            assert caller.run(session.id, frames).state == JobState.JOB_STATE_DONE
            processes.append(server.jobs.worker_process_id)
        assert processes[0] == processes[1] is not None


def test_a_server_whose_end_nobody_asks_for_is_stopped(rendezvous: Path) -> None:
    """As in a container, whose first process knows nothing of it: what is left of it stays."""
    deaf = (
        "import subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-m', 'server.cli', 'server', 'run']); time.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", deaf]) as parent:
        try:
            wait_until(is_running)
            server = server_process_id()
            assert stop_server()
            assert psutil.Process(server).status() == psutil.STATUS_ZOMBIE
        finally:
            parent.kill()
