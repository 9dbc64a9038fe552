"""A screen of the tests' own: Xvfb on a free display."""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

_OF_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_SESSION_TYPE")
_COLOR_BYTES = 12
"""Of an entry of the colour map in an XWD file."""


@dataclass(frozen=True)
class Screen:
    """What is on it, and the environment of programs that open windows there."""

    environment: Mapping[str, str]
    memory: Path

    def pixels(self) -> NDArray[np.uint8]:
        """RGB [H, W, 3] as it is now; Xvfb keeps it as an XWD file."""
        data = self.memory.read_bytes()
        header = struct.unpack(">25I", data[:100])
        size, width, height, row_bytes, colors = header[0], *header[4:6], header[12], header[19]
        start = size + colors * _COLOR_BYTES
        rows = np.frombuffer(data, np.uint8, height * row_bytes, start).reshape(height, row_bytes)
        return rows[:, : width * 4].reshape(height, width, 4)[..., 2::-1]


@contextmanager
def virtual_screen() -> Iterator[Screen]:
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("Xvfb is not installed: make setup")
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        command = [xvfb, "-displayfd", str(writer), "-screen", "0", "1600x1000x24"]
        command += ["-fbdir", folder, "-nolisten", "tcp"]
        server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        try:
            with os.fdopen(reader) as told:
                display = told.readline().strip()
            environment = {**without_screen(), "DISPLAY": f":{display}"}
            yield Screen(environment, Path(folder) / "Xvfb_screen0")
        finally:
            server.terminate()
            server.wait()


def without_screen() -> dict[str, str]:
    """The environment of programs that find no screen, whatever this machine has."""
    return {name: value for name, value in os.environ.items() if name not in _OF_SCREENS}


def hide_screen(patch: pytest.MonkeyPatch) -> None:
    """From programs that the test starts without an environment of their own."""
    for name in _OF_SCREENS:
        patch.delenv(name, raising=False)
