"""The shortcuts, over the window until a key or a click takes them away."""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from panel.shortcuts import shortcuts_by_group
from panel.widgets.parts import card, label

COLUMNS = (("Play", "Key frames"), ("Move",), ("View", "Work"))


class HelpOverlay(QWidget):
    """All shortcuts, from the one list of them."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        frame, layout = card()
        layout.setContentsMargins(28, 22, 28, 22)
        layout.addWidget(label("Shortcuts", "headline"))
        columns = QHBoxLayout()
        columns.setSpacing(36)
        layout.addLayout(columns)
        groups = shortcuts_by_group()
        for names in COLUMNS:
            column = QVBoxLayout()
            for name in names:
                column.addWidget(label(name, "title"))
                column.addLayout(_lines(groups[name]))
                column.addSpacing(14)
            column.addStretch(1)
            columns.addLayout(column)
        QVBoxLayout(self).addWidget(frame, 0, Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def toggle(self) -> None:
        if self.isVisible():
            self.hide()
            return
        self.setGeometry(self._over.rect())
        self.raise_()
        self.show()
        self.setFocus()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()  # every key closes it, and does nothing else
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: ARG002, N802
        self.hide()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), QColor(0, 0, 0, 150))


def _lines(lines: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(7)
    for row, (keys, text) in enumerate(lines):
        grid.addWidget(label(keys), row, 0)
        grid.addWidget(label(text, "dim"), row, 1)
    return grid
