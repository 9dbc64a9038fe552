"""Where the panel finds the render server."""

import os
import sys
import tempfile
from pathlib import Path


def runtime_folder() -> Path:
    """The server's folder, as ARCHITECTURE.md states it for all parts."""
    if chosen := os.environ.get("INBETWEEN_RUNTIME_DIR"):
        return Path(chosen)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "inbetween"
    root = Path(tempfile.gettempdir()) if sys.platform == "darwin" else Path("/tmp")  # noqa: S108
    return root / f"inbetween-{os.getuid()}"


def default_socket() -> Path:
    """The Unix socket on which the server of this user listens."""
    return runtime_folder() / "server.sock"
