"""Whether windows can be opened here; one sentence where they cannot, in place of Qt's abort."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QMessageLogContext, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QLabel

from panel.libraries import NO_SCREEN, lacking, libraries_in

_PLATFORM = "QT_QPA_PLATFORM"
_NAMED_PLUGIN = re.compile(r'Could not (?:load|find) the Qt platform plugin "([^"]*)"')


def open_application() -> QApplication:
    """Qt on this screen; ends the process with a sentence where that fails, as Qt would abort."""
    said: list[str] = []

    def listen(kind: QtMsgType, _: QMessageLogContext, message: str) -> None:
        said.append(message)
        if kind is QtMsgType.QtFatalMsg:
            print(_problem(said), file=sys.stderr, flush=True)
            os._exit(NO_SCREEN)

    qInstallMessageHandler(listen)
    application = QApplication(sys.argv[:1])
    qInstallMessageHandler(None)
    return application


def check() -> None:
    """Opens a small window, closes it again and prints on which platform."""
    application = open_application()
    window = QLabel("Inbetween")
    window.show()
    application.processEvents()
    window.close()
    print(application.platformName())


def _problem(said: Iterable[str]) -> str:
    """What to do about what Qt said while it looked for a screen."""
    tried = [match[1] for message in said if (match := _NAMED_PLUGIN.search(message))]
    if problem := lacking(name for platform in tried for name in _missing_libraries(platform)):
        return problem
    if chosen := os.environ.get(_PLATFORM):
        return (
            f"The panel cannot open a window with {_PLATFORM}={chosen}: unset it, or check that it "
            "is what this screen has."
        )
    screens = [f"{name}={os.environ[name]}" for name in _displays()]
    if not screens:
        return (
            "The panel needs a screen, and there is none (neither DISPLAY nor WAYLAND_DISPLAY is "
            "set): start it in a desktop session, or through ssh -X."
        )
    return (
        f"The panel cannot reach the screen {' or '.join(screens)}: check that the variable names "
        "a screen that you may use."
    )


def _displays() -> list[str]:
    return [name for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)]


def _missing_libraries(platform: str) -> list[str]:
    """What a platform of Qt needs and the system lacks; Qt only guesses."""
    ldd = shutil.which("ldd")
    name = f"libq{platform.partition('-')[0]}.so"
    file = next((folder / name for folder in _plugin_folders() if (folder / name).is_file()), None)
    if ldd is None or file is None:
        return []
    told = subprocess.run([ldd, file], capture_output=True, text=True, check=False)  # noqa: S603
    return libraries_in("\n".join(line for line in told.stdout.splitlines() if "not found" in line))


def _plugin_folders() -> list[Path]:
    chosen = os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH")
    own = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms"
    return [Path(chosen), own] if chosen else [own]
