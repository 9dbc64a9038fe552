"""Windows of the panel, and a fake server for what a real one does too seldom or too well."""

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from panel.connection import Connection
from panel.style import apply_style
from panel.window import Window
from tests.panel.fake_server import FakeServer
from tests.patience import PATIENCE_SECONDS

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before the first window of the run

OpenWindow = Callable[[Path, str], Window]


@pytest.fixture(scope="session")
def dark_application(qapp: QApplication) -> QApplication:
    apply_style(qapp)
    return qapp


class PatientQtBot(QtBot):
    """Waits for as long as a busy machine may take; left to itself, five seconds."""

    def waitUntil(  # noqa: N802 - pytest-qt's own name
        self, callback: Callable[[], bool | None], *, timeout: int = int(PATIENCE_SECONDS * 1000)
    ) -> None:
        super().waitUntil(callback, timeout=timeout)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    """The one of pytest-qt, with patience."""
    return PatientQtBot(request)


@pytest.fixture
def open_window(dark_application: QApplication, qtbot: QtBot) -> Iterator[OpenWindow]:
    """Opens the panel on a session of the server at a socket."""
    windows: list[Window] = []

    def open_(socket: Path, session_id: str) -> Window:
        window = Window(Connection(socket, session_id))
        windows.append(window)
        window.show()
        window.activateWindow()
        qtbot.waitActive(window, timeout=int(PATIENCE_SECONDS * 1000))
        return window

    yield open_
    for window in windows:
        window.shut_down()
        window.deleteLater()
        del window
    windows.clear()
    dark_application.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()  # here, not in a thread of some server: widgets die in their own thread only


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """In a folder of a short name: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ib") as folder:
        server = FakeServer(Path(folder) / "server.sock")  # type: ignore[abstract]
        server.start()
        yield server
        server.stop()
