"""The icons of the panel."""

import qtawesome  # type: ignore[import-untyped]
from PySide6.QtGui import QIcon

from panel.style import FAINT, TEXT

NAMES = {
    "first": "mdi6.skip-backward",
    "previous key": "mdi6.skip-previous",
    "back": "mdi6.chevron-left",
    "play": "mdi6.play",
    "pause": "mdi6.pause",
    "forward": "mdi6.chevron-right",
    "next key": "mdi6.skip-next",
    "last": "mdi6.skip-forward",
    "key": "mdi6.rhombus",
    "help": "mdi6.keyboard-outline",
    "seed": "mdi6.dice-5-outline",
    "anchor": "mdi6.anchor",
    "delete": "mdi6.trash-can-outline",
    "import": "mdi6.image-plus",
    "browse": "mdi6.folder-open-outline",
    "folded": "mdi6.chevron-right",
    "unfolded": "mdi6.chevron-down",
}


def icon(name: str) -> QIcon:
    """The icon of this meaning."""
    made: QIcon = qtawesome.icon(NAMES[name], color=TEXT, color_disabled=FAINT)
    return made
