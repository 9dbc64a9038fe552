"""A picture of the panel, for the demo and the guides."""

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from panel.window import Window

WAIT_SECONDS = 180.0
QUIET_SECONDS = 0.4
"""The window counts as complete when nothing was missing for so long."""


def take_screenshot(window: Window, path: Path, frame: int | None) -> str:
    """Writes the window as it looks when all its pictures are there; why it could not, or ""."""
    window.show()
    if not _wait(lambda: window.editor.model.session is not None):
        return f"No session came from {window.connection.socket}: {window.page.title.text()}."
    if frame is not None:
        window.editor.move_playhead(frame)
    complete = _wait(lambda: window.is_settled, QUIET_SECONDS)
    if not window.grab().save(str(path)):
        return f"{path} cannot be written: choose a PNG file in a folder that exists."
    return (
        "" if complete else f"{path} lacks pictures: the server did not send all in three minutes."
    )


def _wait(is_done: Callable[[], bool], quiet_seconds: float = 0.0) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    done_since: float | None = None
    while (now := time.monotonic()) < deadline:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        if not is_done():
            done_since = None
            time.sleep(0.01)
            continue
        done_since = done_since or now
        if now - done_since >= quiet_seconds:
            return True
        time.sleep(0.01)
    return False
