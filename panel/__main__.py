"""`python -m panel`: the key-frame panel on a session of the render server."""

import argparse
import os
import sys
from pathlib import Path

from PySide6.QtCore import QLoggingCategory
from PySide6.QtWidgets import QApplication

from panel.connection import Connection
from panel.rendezvous import default_socket
from panel.screenshot import take_screenshot
from panel.style import apply_style
from panel.window import Window


def main() -> int:
    """Opens the window, or takes a picture of it; the exit status."""
    options = _options()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Inbetween")
    apply_style(application)
    window = Window(Connection(options.socket, options.session))
    if options.screenshot is None:
        window.show()
        return application.exec()
    QLoggingCategory.setFilterRules("default.warning=false")  # off-screen, Qt warns of size hints
    problem = take_screenshot(window, options.screenshot, options.frame)
    window.close()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m panel", description=__doc__)
    parser.add_argument("--session", default="", help="its id; without it, the newest session")
    parser.add_argument("--socket", type=Path, default=default_socket(), help="of the server")
    parser.add_argument("--screenshot", type=Path, help="write a PNG of the window and exit")
    parser.add_argument("--frame", type=int, help="for the screenshot: where the playhead stands")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
