"""Files that are whole or not there: a temporary name first, then the final one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place when the block ends well.

    Raises StorageError for every failure of the disk, with nothing left behind.
    """
    temporary = temporary_name(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Beside `path`, hidden, with its suffix: what writes it may choose a format by that.

    No longer than it must be: the name of `path` may be as long as the disk allows.
    """
    return path.with_name(f".{os.getpid()}-{os.urandom(4).hex()}{path.suffix}")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns a failure of the disk into StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Says of `path` why it cannot be written, and what to do."""
    if error.errno in _FULL:
        return StorageError(f"{path} cannot be written: the disk is full. Free some space.")
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be written: {reason}. Choose another place.")
