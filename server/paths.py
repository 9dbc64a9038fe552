"""Where the server and its clients meet, and where sessions live."""

import os
import stat
import sys
import tempfile
from pathlib import Path

import platformdirs

from engine.errors import InvalidValueError, StorageError

SOCKET_PATH_LIMIT_BYTES = 103 if sys.platform == "darwin" else 107
"""sockaddr_un holds 108 bytes with the closing zero; 104 on macOS."""


def runtime_folder() -> Path:
    """The folder of the socket, the lock and the log, made where there is none, mode 0700.

    Raises InvalidValueError for a folder that others can reach: who connects to the socket may read
    whatever the server's user may read.
    """
    folder = _runtime_folder_path()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StorageError(
            f"The folder {folder} cannot be made ({error.strerror}): set INBETWEEN_RUNTIME_DIR to "
            "a folder of your own."
        ) from error
    private = stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077
    if status.st_uid != os.getuid() or not private:
        raise InvalidValueError(
            f"The folder {folder} is open to other users: make it yours alone (chmod 700), or set "
            "INBETWEEN_RUNTIME_DIR to another folder."
        )
    return folder


def socket_path() -> Path:
    """The server's socket. Raises InvalidValueError for a path that a socket cannot have."""
    path = runtime_folder() / "server.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_BYTES:
        raise InvalidValueError(
            f"The socket path {path} has {len(os.fsencode(path))} bytes, and a socket's path may "
            f"have {SOCKET_PATH_LIMIT_BYTES}: set INBETWEEN_RUNTIME_DIR to a shorter folder."
        )
    return path


def lock_path() -> Path:
    """Locked while a server lives, whose process is written in it."""
    return runtime_folder() / "server.lock"


def log_path() -> Path:
    """What the server has to say."""
    return runtime_folder() / "server.log"


def home_folder() -> Path:
    """Where sessions live; the server makes it."""
    chosen = os.environ.get("INBETWEEN_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("inbetween"))


def _runtime_folder_path() -> Path:
    if chosen := os.environ.get("INBETWEEN_RUNTIME_DIR"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(chosen) / "inbetween"
    temporary = Path(tempfile.gettempdir()) if sys.platform == "darwin" else Path("/tmp")  # noqa: S108 - the folder is 0700 and its owner is checked
    return temporary / f"inbetween-{os.getuid()}"
