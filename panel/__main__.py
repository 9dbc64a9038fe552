"""`python -m panel`: the key-frame panel on a session of the render server."""

import argparse
import sys
from pathlib import Path

from panel.libraries import NO_SCREEN, lacking, libraries_in
from panel.rendezvous import default_socket


def main() -> int:
    """Opens the window, or does without one what an option asks for; the exit status."""
    options = _options()
    try:
        from panel.application import run
    except ImportError as error:  # Qt itself needs libraries of the system.
        print(
            lacking(libraries_in(str(error))) or f"The panel cannot be loaded: {error}.",
            file=sys.stderr,
        )
        return NO_SCREEN
    return run(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m panel", description=__doc__)
    parser.add_argument("--session", default="", help="its id; without it, the newest session")
    parser.add_argument("--socket", type=Path, default=default_socket(), help="of the server")
    parser.add_argument("--screenshot", type=Path, help="write a PNG of the window and exit")
    parser.add_argument("--frame", type=int, help="for the screenshot: where the playhead stands")
    parser.add_argument("--check", action="store_true", help="only try whether windows open here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
