"""States in words: a page where there is no clip, a strip where there is one."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from panel.model.notices import Notice, Remedy, Tone
from panel.style import DIM, FAILED, OUT_OF_DATE
from panel.widgets.parts import button, card, label

COLORS = {Tone.NEUTRAL: DIM, Tone.WARNING: OUT_OF_DATE, Tone.ERROR: FAILED}
PAGE_WIDTH = 540


class NoticeView(QWidget):
    """What happened, what is safe, and one thing to do."""

    remedy_wanted = Signal(object)
    dismissed = Signal()

    def __init__(self, *, as_page: bool) -> None:
        super().__init__()
        self.kind = label()
        self.title = label(role="headline" if as_page else "title")
        self.text = label()
        self.remedy = button("", primary=True)
        self.close_button = button("Close")
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.remedy.clicked.connect(self._remedy_clicked)
        self.close_button.clicked.connect(self.dismissed)
        self._remedy: Remedy | None = None
        frame, layout = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        if as_page:
            self._lay_out_page(frame, layout)
            outer.addWidget(frame, 0, Qt.AlignmentFlag.AlignCenter)
        else:
            self._lay_out_strip(layout)
            outer.addWidget(frame)

    def show_notice(self, notice: Notice) -> None:
        color = COLORS[notice.tone]
        self.kind.setText(f"● {notice.kind}")
        self.kind.setStyleSheet(f"color: {color}")
        self.title.setText(notice.title)
        self.text.setText(notice.text)
        self._remedy = notice.remedy
        self.remedy.setVisible(notice.remedy is not None)
        self.remedy.setText(notice.remedy.value if notice.remedy else "")
        self.close_button.setVisible(notice.remedy is Remedy.RETRY)

    def _remedy_clicked(self) -> None:
        self.remedy_wanted.emit(self._remedy)

    def _lay_out_page(self, frame: QFrame, layout: QVBoxLayout) -> None:
        frame.setFixedWidth(PAGE_WIDTH)
        layout.setContentsMargins(28, 24, 28, 24)
        layout.setSpacing(12)
        for widget in (self.kind, self.title, self.text):
            layout.addWidget(widget)
        layout.addSpacing(12)
        layout.addWidget(self.remedy, 0, Qt.AlignmentFlag.AlignLeft)

    def _lay_out_strip(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(12, 6, 8, 6)
        line = QHBoxLayout()
        line.setSpacing(12)
        line.addWidget(self.kind)
        line.addWidget(self.title)
        line.addWidget(self.text, 1)
        line.addWidget(self.remedy)
        line.addWidget(self.close_button)
        layout.addLayout(line)
