"""Small pieces that several widgets are made of."""

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from panel.icons import icon


def card() -> tuple[QFrame, QVBoxLayout]:
    """A framed area and its layout."""
    frame = QFrame()
    frame.setProperty("card", True)
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(12, 10, 12, 12)
    layout.setSpacing(8)
    return frame, layout


def fold(title: str, content: QLayout) -> QCollapsible:
    """What is shown below its title by a click on it."""
    made = QCollapsible(title)
    made.setDuration(0)
    made.setCollapsedIcon(icon("folded"))
    made.setExpandedIcon(icon("unfolded"))
    held = QWidget()
    held.setLayout(content)
    made.addWidget(held)
    made.layout().setContentsMargins(0, 0, 0, 0)  # type: ignore[union-attr]
    made.content().layout().setContentsMargins(0, 0, 0, 0)  # type: ignore[union-attr]
    return made


def label(text: str = "", role: str = "") -> QLabel:
    """A text; `role` is title, headline or dim."""
    made = QLabel(text)
    made.setProperty("role", role)
    made.setTextFormat(Qt.TextFormat.PlainText)
    return made


class ElidedLabel(QLabel):
    """One line that asks for the room of its whole text and makes do with less.

    superqt's asks for the room of what it shows now, and so never grows again.
    """

    def __init__(
        self, role: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._mode = mode

    @property
    def shown(self) -> str:
        """The text, shortened where room lacks."""
        if self.width() >= self.sizeHint().width():
            return self.text()
        return self.fontMetrics().elidedText(self.text(), self._mode, self.width())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(self.fontMetrics().horizontalAdvance("…"), self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        with QPainter(self) as painter:
            self.style().drawItemText(
                painter,
                self.rect(),
                self.alignment().value,
                self.palette(),
                self.isEnabled(),
                self.shown,
                self.foregroundRole(),
            )


def button(text: str, *, primary: bool = False) -> QPushButton:
    """A push button, which a click leaves without the focus, so that keys reach the window."""
    made = QPushButton(text)
    made.setProperty("primary", primary)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def row(*widgets: QWidget | None, spacing: int = 8) -> QHBoxLayout:
    """The widgets side by side; None is stretching room."""
    layout = QHBoxLayout()
    layout.setSpacing(spacing)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    return layout


def set_property(widget: QWidget, name: str, value: object) -> None:
    """Sets a property that the style sheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


class WheelGuard(QObject):
    """Keeps the wheel from changing fields while somebody scrolls past them."""

    def protect(self, *fields: QAbstractSpinBox | QAbstractSlider | QComboBox) -> None:
        for field in fields:
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() != QEvent.Type.Wheel:
            return False
        return isinstance(watched, QWidget) and not watched.hasFocus()
