"""The panel opens on a real screen, and says in a sentence why where it cannot."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PySide6
import pytest

from panel.style import CARD
from tests.panel.fake_server import FakeServer
from tests.screen import Screen, virtual_screen, without_screen

PANEL = [sys.executable, "-m", "panel"]
QT = Path(PySide6.__file__).parent / "Qt"
NO_SUCH = b"libxcb-cursor.so.0", b"libxcb-cursoX.so.7"


def test_the_panel_opens_on_a_screen(fake_server: FakeServer) -> None:
    with virtual_screen() as screen:
        assert not screen.pixels().any()
        command = [*PANEL, "--socket", str(fake_server.socket)]
        with subprocess.Popen(command, env=screen.environment, stderr=subprocess.PIPE) as panel:
            try:
                wait_for_panel(screen, panel)
            finally:
                panel.terminate()


def wait_for_panel(screen: Screen, panel: "subprocess.Popen[bytes]") -> None:
    """Until its cards take a fifth of the screen."""
    color = [int(CARD[at : at + 2], 16) for at in (1, 3, 5)]
    while np.mean((screen.pixels() == color).all(axis=-1)) < 0.2:
        assert panel.poll() is None, panel.stderr and panel.stderr.read().decode()
        time.sleep(0.05)


def test_the_check_tells_on_which_platform_a_window_opened() -> None:
    with virtual_screen() as screen:
        assert said(screen.environment, "--check") == (0, "xcb\n")
    offscreen = {**without_screen(), "QT_QPA_PLATFORM": "offscreen"}
    assert said(offscreen, "--check") == (0, "offscreen\n")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "The panel needs a screen, and there is none"),
        ({"DISPLAY": ":987"}, "The panel cannot reach the screen DISPLAY=:987"),
        ({"QT_QPA_PLATFORM": "canvas"}, "cannot open a window with QT_QPA_PLATFORM=canvas"),
    ],
)
def test_without_a_screen_it_says_a_sentence(environment: Mapping[str, str], sentence: str) -> None:
    code, told = said({**without_screen(), **environment})
    assert code > 0
    assert sentence in told
    assert told.count("\n") == 1


def test_a_library_that_the_system_lacks_is_named_with_its_package(tmp_path: Path) -> None:
    """A copy of Qt's own plug-in that asks for another library."""
    plugin = (QT / "plugins" / "platforms" / "libqxcb.so").read_bytes()
    xcb = (QT / "lib").glob("libQt6XcbQpa.so.6")
    (tmp_path / "libqxcb.so").write_bytes(plugin)
    (tmp_path / "libQt6XcbQpa.so.6").write_bytes(next(xcb).read_bytes().replace(*NO_SUCH))
    code, told = said(
        {
            **without_screen(),
            "DISPLAY": ":987",
            "QT_QPA_PLATFORM_PLUGIN_PATH": str(tmp_path),
            "LD_LIBRARY_PATH": f"{tmp_path}{os.pathsep}{QT / 'lib'}",
        }
    )
    assert code > 0
    assert "cannot open a window without libxcb-cursoX.so.7" in told
    assert "apt-get install libxcb-cursox7 " in told


def said(environment: Mapping[str, str], *options: str) -> tuple[int, str]:
    """The exit code, and all that was said."""
    ended = subprocess.run(
        [*PANEL, *options], env=environment, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr
