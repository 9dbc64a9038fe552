"""What leaves this machine, and what is left behind on it: nothing but what README says."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

WATCH = Path(__file__).with_name("network_watch.cpp")


@dataclass(frozen=True)
class StrangersHome:
    """A user's folders, empty at first, where every program is watched."""

    folder: Path
    watch: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Without what the tests, or their caller, have set for Inbetween and its libraries."""
        places = {
            "HOME": "home",
            "TMPDIR": "tmp",
            "XDG_CACHE_HOME": "cache",
            "XDG_CONFIG_HOME": "config",
            "XDG_DATA_HOME": "data",
            "XDG_RUNTIME_DIR": "run",
            "XDG_STATE_HOME": "state",
        }
        for name in places.values():
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "CUDA_VISIBLE_DEVICES": "-1",
            "LD_PRELOAD": str(self.watch),
            "NETWORK_WATCH_LOG": str(self.log),
            # A proxy that nobody asked for must not see a call.
            "http_proxy": "http://127.0.0.1:9",
            **{variable: str(self.folder / name) for variable, name in places.items()},
        }

    @property
    def log(self) -> Path:
        return self.folder / "network.log"

    def python(self, *arguments: object) -> str:
        """What a program printed, whose exit code must be 0."""
        ran = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def inbetween(self, *arguments: object) -> str:
        return self.python("-m", "server.cli", *arguments)

    def seen(self) -> set[str]:
        """The calls that were seen, each with the name or the address that it was for."""
        return set(self.log.read_text().splitlines()) if self.log.exists() else set()

    def left_behind(self) -> set[str]:
        """What lies in the user's folders, except in the temporary one, which the system empties:
        importing PyTorch's compiler makes an empty folder there.
        """
        found = {str(path.relative_to(self.folder)) for path in self.folder.glob("*/*")}
        return {path for path in found if not path.startswith("tmp/")}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("watch") / "network_watch.so"
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-o", str(library), str(WATCH), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.fixture
def home(short_folder: Path, watch: Path) -> Iterator[StrangersHome]:
    stranger = StrangersHome(short_folder, watch)
    yield stranger
    stranger.inbetween("server", "stop")


def test_the_watch_sees_names_and_addresses(home: StrangersHome) -> None:
    home.python(
        "-c",
        "import contextlib, socket, urllib.request\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('example.org', 443)\n"
        "with contextlib.suppress(OSError): socket.socket().connect(('127.0.0.1', 9))\n"
        "datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "with contextlib.suppress(OSError): datagrams.sendto(b'', ('::1', 53))\n",
    )
    assert home.seen() == {"getaddrinfo example.org", "connect 127.0.0.1", "sendto ::1"}


def test_a_render_speaks_to_its_own_server_alone_and_leaves_nothing_elsewhere(
    home: StrangersHome, tiny_clip: Path, tmp_path: Path
) -> None:
    """Every process: command line, server and worker, with both painters and with measuring."""
    for painter, prompt in (("diffusion", "a woodcut, sepia"), ("style", "mosaic")):
        out = tmp_path / f"{painter}.mp4"
        asked = ("--painter", painter, "--prompt", prompt, "--keys", "0,3", "--range", "0-3")
        home.inbetween("render", tiny_clip, *asked, "--fresh", "--out", out)
        home.inbetween("report", out, "--source", tiny_clip, "--range", "0-3", "--keys", "0,3")
    home.inbetween("server", "stop")

    runtime = home.folder / "run" / "inbetween"
    assert home.seen()
    strangers = {call for call in home.seen() if f"unix:{runtime}/" not in call}
    assert not strangers
    assert home.left_behind() == {"data/inbetween", "run/inbetween"}
