"""The looks of a painter as pictures, to be clicked."""

from collections.abc import Iterable

from inbetween.v1 import render_pb2
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem

PICTURE_SIZE = QSize(80, 60)
CELL_SIZE = QSize(96, 86)
SCROLL_BAR_HEIGHT = 8
IS_MODIFIER = Qt.ItemDataRole.UserRole


class LookStrip(QListWidget):
    """One row of looks, then of what changes a look; a click, or Enter, chooses one."""

    look_chosen = Signal(str)
    modifier_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setIconSize(PICTURE_SIZE)
        self.setGridSize(CELL_SIZE)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(CELL_SIZE.height() + SCROLL_BAR_HEIGHT + 2 * self.frameWidth())
        self.setAccessibleName("Looks")
        self.itemClicked.connect(self._choose)
        self.itemActivated.connect(self._choose)

    def show_looks(
        self, looks: Iterable[render_pb2.Look], modifiers: Iterable[render_pb2.Look]
    ) -> None:
        """Shows them in place of those there were."""
        self.clear()
        for look in looks:
            self._add(look, is_modifier=False)
        for modifier in modifiers:
            self._add(modifier, is_modifier=True)

    def _add(self, look: render_pb2.Look, *, is_modifier: bool) -> None:
        picture = QPixmap()
        picture.loadFromData(look.picture)
        item = QListWidgetItem(QIcon(picture), look.name, self)
        item.setData(IS_MODIFIER, is_modifier)
        effect = "Added to the prompt" if is_modifier else "Written into the prompt"
        item.setToolTip(f"{effect}. In words: {', '.join(look.phrases)}")

    def _choose(self, item: QListWidgetItem) -> None:
        chosen = self.modifier_chosen if item.data(IS_MODIFIER) else self.look_chosen
        chosen.emit(item.text())
