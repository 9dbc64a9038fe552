"""A server's life: its lock, its socket, its end, and what a killed one leaves behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from inbetween.v1.render_pb2 import StartJobRequest
from inbetween.v1.session_pb2 import GetSessionRequest, JobState

from engine.errors import InbetweenError
from server import paths, serving
from server.serving import RunningServer, ServerOptions, locked, serve
from tests.patience import PATIENCE_SECONDS, assert_ends
from tests.server.conftest import Caller, children, jobs_until_end

SERVE = "from server.serving import ServerOptions, run_server; run_server(ServerOptions())"


@contextmanager
def server_process(
    folder: Path, program: str = SERVE, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Caller]]:
    """A server of its own, as a person starts it, or by another program."""
    runtime = folder / "run"
    environment = os.environ | {
        "INBETWEEN_RUNTIME_DIR": str(runtime),
        "INBETWEEN_HOME": str(folder / "home"),
    }
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], env=environment)
    try:
        with grpc.insecure_channel(f"unix:{runtime / 'server.sock'}") as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_SECONDS)
            yield process, Caller.on(channel)
    finally:
        process.kill()
        process.wait()


def test_health_and_reflection_answer(render_server: RunningServer) -> None:
    with grpc.insecure_channel(render_server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"inbetween.v1.SessionService", "inbetween.v1.RenderService"} <= services


def test_the_server_never_imports_torch_or_diffusers() -> None:
    program = (
        "import sys, server.serving; "
        "from engine.translation.painters import describe_painters; describe_painters(); "
        "print([name for name in ('torch', 'diffusers') if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_a_second_server_on_the_socket_refuses_and_the_first_goes_on(
    render_server: RunningServer, caller: Caller, tiny_clip: Path
) -> None:
    options = ServerOptions(
        render_server.socket, render_server.socket.with_suffix(".lock"), Path("/nowhere")
    )
    with pytest.raises(InbetweenError) as refusal, serve(options):
        pass
    assert str(refusal.value) == (
        f"Another render server answers at {render_server.socket}: use that one, or stop it first."
    )
    assert caller.open(tiny_clip).id


def test_a_lock_that_is_deleted_while_a_server_waits_for_it_still_admits_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, nobody = tmp_path / "server.lock", tmp_path / "server.sock"
    entered, leave = threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with locked(lock, nobody):
            entered.set()
            leave.wait(PATIENCE_SECONDS)

    waiting = threading.Thread(target=wait_for_it)
    with locked(lock, nobody):
        waiting.start()
        assert not entered.wait(0.3)
        lock.unlink()
    assert entered.wait(PATIENCE_SECONDS)
    monkeypatch.setattr(serving, "LOCK_SECONDS", 0.3)
    with pytest.raises(InbetweenError), locked(lock, nobody):
        pass
    leave.set()
    waiting.join()
    assert lock.exists()


def test_a_socket_path_that_is_too_long_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    with pytest.raises(InbetweenError, match="a socket's path may have 107"):
        paths.socket_path()


def test_a_runtime_folder_that_others_can_enter_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(tmp_path / "run"))
    assert paths.runtime_folder().stat().st_mode & 0o777 == 0o700
    paths.runtime_folder().chmod(0o755)
    with pytest.raises(InbetweenError, match="open to other users"):
        paths.runtime_folder()


def test_a_server_that_is_killed_goes_on_without_repainting(
    short_folder: Path, small_clip: Path
) -> None:
    with server_process(short_folder) as (process, caller):
        session = caller.open(small_clip, keys=[0, 3, 6])
        for job in caller.follow(session.id, (0, 6)):
            if job.done.propagations >= 3:
                left = children(process.pid)
                process.kill()
                break
    assert job.state == JobState.JOB_STATE_RUNNING
    for worker in left:
        assert_ends(worker)

    with server_process(short_folder) as (_, caller):
        with caller.watching(session.id) as events:
            ended = list(jobs_until_end(events, job.id))[-1]
        assert ended.state == JobState.JOB_STATE_DONE, ended.error
        assert ended.done.paintings == 0
        assert ended.reused.paintings == 3
        assert ended.reused.propagations >= 3
        assert caller.states(session.id)[:7] == ["READY"] * 7


def test_a_server_that_is_told_to_end_ends_in_the_middle_of_a_job(
    short_folder: Path, small_clip: Path
) -> None:
    with server_process(short_folder) as (process, caller):
        session = caller.open(small_clip, keys=[0, 23])
        job = caller.render.StartJob(StartJobRequest(session_id=session.id)).job
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    with server_process(short_folder) as (_, caller):
        jobs = caller.sessions.GetSession(GetSessionRequest(session_id=session.id)).jobs
        assert [one.id for one in jobs] == [job.id]
        assert jobs[0].state != JobState.JOB_STATE_DONE
