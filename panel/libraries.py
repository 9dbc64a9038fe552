"""System libraries that a window needs, and the packages that hold them."""

import re
from collections.abc import Iterable

NO_SCREEN = 3
"""The exit status of the panel where it can open no window."""


def libraries_in(text: str) -> list[str]:
    """The shared libraries that an error message or ldd names."""
    return list(dict.fromkeys(re.findall(r"lib[\w.+-]+\.so\.\d+", text)))


def lacking(libraries: Iterable[str]) -> str:
    """What to do about libraries that the system lacks; empty where it lacks none."""
    missing = list(dict.fromkeys(libraries))
    if not missing:
        return ""
    return (
        f"The panel cannot open a window without {', '.join(missing)}: apt-get install "
        f"{' '.join(map(_debian_package, missing))} (or what your system calls them)."
    )


def _debian_package(library: str) -> str:
    """Debian calls libxcb-cursor.so.0 libxcb-cursor0, and libdbus-1.so.3 libdbus-1-3."""
    name, _, version = library.lower().partition(".so.")
    if name.startswith(("libglib-", "libgthread-", "libgobject-", "libgio-")):
        return "libglib2.0-0"
    return f"{name}-{version}" if name[-1].isdigit() else f"{name}{version}"
