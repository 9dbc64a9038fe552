"""Takes away from this process what only Linux has, as far as our own code goes.

The libraries around it look at the machine in ways of their own.
"""

import os
import signal
import socket
import sys
from pathlib import Path

LINUX_ONLY = {
    os: ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "eventfd"),
    signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    socket: ("SO_PEERCRED", "SO_PASSCRED"),
}
ROOT = Path(__file__).parents[3]
OURS = tuple(f"{ROOT / package}{os.sep}" for package in ("engine", "server", "panel"))


def take_away() -> None:
    for module, names in LINUX_ONLY.items():
        for name in names:
            vars(module).pop(name, None)
    sys.addaudithook(_refuse_proc)


def _refuse_proc(event: str, arguments: tuple[object, ...]) -> None:
    """Our own code finds nothing under /proc."""
    if event != "open" or not str(arguments[0]).startswith("/proc"):
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_of_the_language(frame.f_code.co_filename):
        frame = frame.f_back
    if frame.f_code.co_filename.startswith(OURS):
        raise FileNotFoundError(str(arguments[0]))


def _is_of_the_language(file: str) -> bool:
    return file.startswith("<") or (Path(os.__file__).parent in Path(file).parents)
