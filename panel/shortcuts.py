"""All shortcuts of the panel, in one place: the window binds them, and the help shows them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """A named action and the keys that trigger it."""

    name: str
    text: str
    keys: tuple[str, ...]
    group: str
    repeats: bool = False


SHORTCUTS = (
    Shortcut("play", "Play or stop", ("Space",), "Play"),
    Shortcut("shuttle back", "Backwards, faster at each press", ("J",), "Play"),
    Shortcut("stop", "Stop", ("K",), "Play"),
    Shortcut("shuttle on", "Forwards, faster at each press", ("L",), "Play"),
    Shortcut("back", "One frame back", ("Left",), "Move", repeats=True),
    Shortcut("forward", "One frame on", ("Right",), "Move", repeats=True),
    Shortcut("second back", "One second back", ("Shift+Left",), "Move", repeats=True),
    Shortcut("second on", "One second on", ("Shift+Right",), "Move", repeats=True),
    Shortcut("first", "First frame", ("Home",), "Move"),
    Shortcut("last", "Last frame", ("End",), "Move"),
    Shortcut("previous key", "Previous key frame", ("Ctrl+Left", "Up"), "Move", repeats=True),
    Shortcut("next key", "Next key frame", ("Ctrl+Right", "Down"), "Move", repeats=True),
    Shortcut("go to", "Type a position: 61, +20 or 1:12", ("=",), "Move"),
    Shortcut("go on by", "Type an offset", ("+",), "Move"),
    Shortcut("add key", "Add a key frame", ("M",), "Key frames"),
    Shortcut("delete key", "Delete the key frame", ("Del", "Backspace"), "Key frames"),
    Shortcut("nudge back", "Move it one frame back", ("Alt+Left",), "Key frames", repeats=True),
    Shortcut("nudge on", "Move it one frame on", ("Alt+Right",), "Key frames", repeats=True),
    Shortcut("paint key", "Paint the key frame", ("R",), "Key frames"),
    Shortcut("anchor", "Make it an anchor, or no longer", ("A",), "Key frames"),
    Shortcut("import painting", "Import a painting", ("Ctrl+I",), "Key frames"),
    Shortcut("show source", "Source", ("1",), "View"),
    Shortcut("show result", "Result", ("2",), "View"),
    Shortcut("show wipe", "Wipe", ("W",), "View"),
    Shortcut("fit", "Fit the picture", ("F",), "View"),
    Shortcut("fit timeline", "Fit the timeline", ("Shift+Z",), "View"),
    Shortcut("render all", "Render all", ("Ctrl+Return", "Ctrl+Enter"), "Work"),
    Shortcut("cancel", "Cancel the render", ("Esc",), "Work"),
    Shortcut("undo", "Undo", ("Ctrl+Z",), "Work", repeats=True),
    Shortcut("redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Work", repeats=True),
    Shortcut("help", "Shortcuts", ("F1", "?"), "Work"),
)

PEEK_KEY = "\\"
"""Held down, it shows the source; no action, as actions know no release."""


def shortcuts_by_group() -> dict[str, list[tuple[str, str]]]:
    """Group to (keys, text), for the help."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for shortcut in SHORTCUTS:
        keys = " or ".join(shortcut.keys)
        groups.setdefault(shortcut.group, []).append((keys, shortcut.text))
    groups["View"].append((f"{PEEK_KEY} held", "The source for as long as it is held"))
    groups["View"].append(("Alt+wheel", "Zoom the timeline at the pointer"))
    return groups
