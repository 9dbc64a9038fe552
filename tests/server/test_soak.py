"""A server that works for long: nothing that it opened stays behind."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from inbetween.v1.session_pb2 import JobState

from tests.server.conftest import Caller, children
from tests.server.test_serving import server_process

JOBS = 200
WARM_UP_JOBS = 20
MOST_MORE_FILES = 4
MOST_MORE_THREADS = 4
GROWTH_BYTES = 100 << 20
"""Of the server and its worker together, over 180 jobs of a few small pictures: about half a MiB a
job, where a job's pictures in memory are some 6 MiB."""


@dataclass(frozen=True)
class Usage:
    """What a process and those that it started hold."""

    processes: int
    files: int
    threads: int
    resident_bytes: int


def usage_of(process: int) -> Usage:
    family = [Path(f"/proc/{one}") for one in _family(process)]
    status = [(one / "status").read_text().splitlines() for one in family]
    values = [dict(line.split(":\t", 1) for line in lines if ":\t" in line) for lines in status]
    return Usage(
        processes=len(family),
        files=sum(len(list((one / "fd").iterdir())) for one in family),
        threads=sum(int(value["Threads"]) for value in values),
        resident_bytes=sum(int(value["VmRSS"].split()[0]) << 10 for value in values),
    )


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_200_jobs_leave_no_files_threads_processes_or_memory_behind(
    short_folder: Path, tiny_clip: Path
) -> None:
    with server_process(short_folder) as (process, caller):
        _run_jobs(caller, tiny_clip, WARM_UP_JOBS)
        before = usage_of(process.pid)
        _run_jobs(caller, tiny_clip, JOBS - WARM_UP_JOBS)
        after = usage_of(process.pid)
    print(before, after)
    assert after.processes == before.processes
    assert after.files <= before.files + MOST_MORE_FILES
    assert after.threads <= before.threads + MOST_MORE_THREADS
    assert after.resident_bytes < before.resident_bytes + GROWTH_BYTES


def _run_jobs(caller: Caller, clip: Path, count: int) -> None:
    """Renders three frames between other key frames each time, in a new session after four."""
    for number in range(count):
        if number % 4 == 0:
            session = caller.open(clip).id
        first = number % 4 * 2
        caller.set_keys(session, [first, first + 2])
        job = caller.run(session, (first, first + 2))
        assert job.state == JobState.JOB_STATE_DONE, job.error


def _family(process: int) -> list[int]:
    return [process, *(one for child in children(process) for one in _family(child))]
