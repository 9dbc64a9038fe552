"""The panel as a program: one window, a picture of it, or a check that windows open."""

import argparse
import os
import sys

from PySide6.QtCore import QLoggingCategory

from panel.connection import Connection
from panel.screen import check, open_application
from panel.screenshot import take_screenshot
from panel.style import apply_style
from panel.window import Window


def run(options: argparse.Namespace) -> int:
    """The exit status."""
    if options.check:
        check()
        return 0
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    application = open_application()
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
