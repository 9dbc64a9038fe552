"""What goes wrong with the process that renders is noticed at once, and said in a sentence."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import grpc
import pytest
from inbetween.v1.session_pb2 import JobState
from typer.testing import CliRunner

from engine.native.kernels import cuda_device_count
from server.cli import app
from server.serving import RunningServer, ServerOptions, serve
from server.work.worker import DEVICE_VARIABLE
from tests.server.conftest import Caller, Pixels, write_movie

if TYPE_CHECKING:
    from inbetween.v1.session_pb2 import Job

NO_CUDA = r"(There is no CUDA device \d+ \(|The native kernels \S+cuda\S* cannot be loaded )"
"""The second one where they were not built."""
"""On a busy machine; a quiet one needs a few milliseconds."""


@contextmanager
def caller_in(folder: Path) -> Iterator[Caller]:
    """A server of this test's own."""
    options = ServerOptions(folder / "s", folder / "l", folder / "h")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        yield Caller.on(channel)


def failed(job: "Job") -> str:
    assert job.state == JobState.JOB_STATE_FAILED
    assert "Traceback" not in job.error
    return str(job.error)


def test_a_worker_that_crashes_is_noticed_and_said(
    render_server: RunningServer, caller: Caller, small_clip: Path
) -> None:
    session = caller.open(small_clip, keys=[0, 23])
    crashed = False
    for job in caller.follow(session.id):
        worker = render_server.jobs.worker_process_id
        if job.done.propagations >= 1 and worker and not crashed:
            os.kill(worker, signal.SIGABRT)
            crashed = True
    assert failed(job).startswith("The render process died (exit code -6): render again;")


def test_a_worker_that_cannot_be_started_fails_its_job_with_the_reason(
    short_folder: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caller_in(short_folder) as caller:
        session = caller.open(tiny_clip, keys=[0])
        monkeypatch.setattr(sys, "executable", str(tiny_clip))  # has no execute bit
        error = failed(caller.run(session.id, (0, 1)))
        assert error.startswith("The render process cannot be started (Permission denied): ")
        monkeypatch.undo()
        assert caller.run(session.id, (0, 1)).state == JobState.JOB_STATE_DONE


def test_a_fault_of_our_own_names_the_frame_and_costs_one_job(
    short_folder: Path,
    tiny_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As seen from outside: no flow is ever found in this worker."""
    (short_folder / "sitecustomize.py").write_text(
        "from engine.motion.flow import DisFlow\n"
        "def estimate(*_):\n"
        "    raise RuntimeError('odd')\n"
        "DisFlow.estimate = estimate\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(short_folder))
    with caller_in(short_folder) as caller:
        session = caller.open(tiny_clip, keys=[0])
        error = failed(caller.run(session.id))
        assert error == (
            "Something unexpected happened while propagating (frame 1) (RuntimeError): what was "
            "finished is kept; the server's log says more."
        )
        assert "RuntimeError: odd" in caplog.text
        assert caller.states(session.id)[0] == "READY"
        assert caller.run(session.id, (0, 0)).state == JobState.JOB_STATE_DONE


def test_a_picture_that_cannot_be_read_fails_the_job_with_its_name_until_it_is_mended(
    caller: Caller, footage: list[Pixels], tmp_path: Path
) -> None:
    files = [tmp_path / f"shot.{index:04}.png" for index in range(7)]
    for file, pixels in zip(files, footage, strict=False):
        cv2.imwrite(str(file), pixels)
    session = caller.open(tmp_path / "shot.%04d.png", keys=[0, 6])
    whole = files[4].read_bytes()
    files[4].write_bytes(whole[:300])
    assert failed(caller.run(session.id)).startswith(f"{files[4]} is damaged")
    files[4].write_bytes(whole)
    job = caller.run(session.id)
    assert (job.state, job.error) == (JobState.JOB_STATE_DONE, "")


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("gpu please", 'The device is "gpu please": choose auto, cpu, cuda or cuda:1'),
        ("cuda:x", 'The device is "cuda:x": choose auto, cpu, cuda or cuda:1'),
        ("cuda:99", NO_CUDA),
        pytest.param(
            "cuda",
            NO_CUDA,
            marks=pytest.mark.skipif(cuda_device_count() > 0, reason="here is a CUDA device"),
        ),
    ],
)
def test_a_device_that_is_not_there_fails_the_job_with_what_to_choose(
    short_folder: Path,
    tiny_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    sentence: str,
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, device)
    with caller_in(short_folder) as caller:
        session = caller.open(tiny_clip, keys=[0])
        assert re.match(sentence, failed(caller.run(session.id, (0, 1))))


@pytest.mark.parametrize(
    ("device", "sentence"),
    [("gpu please", 'The device is "gpu please"'), ("cuda:99", NO_CUDA)],
)
def test_the_doctor_finds_a_device_that_is_not_there(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, sentence: str
) -> None:
    monkeypatch.setenv("INBETWEEN_RUNTIME_DIR", str(short_folder))
    monkeypatch.setenv("INBETWEEN_HOME", str(short_folder / "home"))
    monkeypatch.setenv(DEVICE_VARIABLE, device)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    (told,) = (line for line in result.stdout.splitlines() if line.startswith("fail"))
    assert re.match(f"fail  kernels: {sentence}", told)


def test_blanks_and_signs_in_paths_do_no_harm(short_folder: Path, footage: list[Pixels]) -> None:
    folder = short_folder / 'ho me\'s "ü"'
    folder.mkdir(mode=0o700)
    clip = write_movie(folder / "my clip; $HOME %04d.mp4", footage[:3])
    with caller_in(folder) as caller:
        job = caller.run(caller.open(clip, keys=[1]).id)
        assert (job.state, job.error) == (JobState.JOB_STATE_DONE, "")
