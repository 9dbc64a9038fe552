"""An editor at work for long, while its render server comes and goes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from engine.types import FrameSize
from tests.ofx_host.host import OfxHost
from tests.patience import PATIENCE_SECONDS

COUNT = 6
INSTANCES = 4
ROUNDS = 10
RENDERS_PER_ROUND = 200
SECONDS_TO_KILL = 0.15
MOST_MESSAGES_PER_ROUND = 4 * INSTANCES
"""Each instance takes back that there was no server, and may say that it broke off in the middle of
a call, does not answer, and is gone: no more for 50 renders."""
GROWTH_BYTES = 60 << 20
"""Of the host, over 2,000 renders: about one picture of 96x64 in float32 (96 KiB) for three
renders would be more."""
SERVE = "from server.serving import ServerOptions, run_server; run_server(ServerOptions())"


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_2000_renders_outlive_a_server_that_is_killed_in_each_of_ten_rounds(
    host: OfxHost, runtime: Path, bunny: Path, tmp_path: Path
) -> None:
    sources = host.feed_movie(bunny, FrameSize(96, 64), COUNT)
    host.option(interactive="0")
    host.load()
    effects = [host.create()]
    effects[0].set("painter", 1)
    effects[0].set("prompt", "mosaic")
    with server_process(runtime, tmp_path):
        finished = np.stack([picture.pixels for picture in effects[0].render(range(COUNT))])
    effects += [effects[0].clone() for _ in range(INSTANCES - 1)]
    host.option(interactive="1")
    times = [number % COUNT for number in range(RENDERS_PER_ROUND)]
    shown: list[bool] = []
    host.messages()
    resident = resident_bytes(host)
    for _ in range(ROUNDS):
        with server_process(runtime, tmp_path) as server:
            killer = threading.Timer(SECONDS_TO_KILL, server.kill)
            killer.start()
            pictures = host.render(effects, times)
            killer.join()
        for picture in pictures:
            shown.append(np.array_equal(picture.pixels, finished[picture.time]))
            assert shown[-1] or np.array_equal(picture.pixels, sources[picture.time])
        messages = host.messages()
        assert len(messages) <= MOST_MESSAGES_PER_ROUND, messages
    print(f"{sum(shown)} of {len(shown)} renders were finished ones")
    assert 0 < sum(shown) < len(shown)
    print(f"{resident_bytes(host) - resident >> 10} KiB more")
    assert resident_bytes(host) < resident + GROWTH_BYTES


@contextmanager
def server_process(runtime: Path, home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server at the rendezvous, killed at the end if not before."""
    environment = os.environ | {
        "INBETWEEN_RUNTIME_DIR": str(runtime),
        "INBETWEEN_HOME": str(home),
    }
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment)
    try:
        with grpc.insecure_channel(f"unix:{runtime / 'server.sock'}") as channel:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_SECONDS)
        yield process
    finally:
        process.kill()
        process.wait()


def resident_bytes(host: OfxHost) -> int:
    pages = Path(f"/proc/{host.process_id}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")
