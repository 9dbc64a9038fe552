"""The top line: the clip, the server, and the main action with its price."""

from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from panel.editor import Editor
from panel.model.session import Link
from panel.model.wording import cost, plural
from panel.style import FAILED, FAINT, OUT_OF_DATE, READY
from panel.widgets.parts import ElidedLabel, button, card, label

NAME_WIDTH = 420


class Header(QWidget):
    """Which clip, which server, and Render all."""

    render_wanted = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        frame, layout = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.clip = ElidedLabel("title", Qt.TextElideMode.ElideMiddle)
        self.clip.setMaximumWidth(NAME_WIDTH)
        self.facts = ElidedLabel()
        self.origin = label(role="dim")
        self.dot = label("●")
        self.server = label("Render server")
        self.device = ElidedLabel("dim")
        self.price = ElidedLabel("dim")
        self.render_all = button("Render all  Ctrl+Enter", primary=True)
        self.render_all.clicked.connect(self.render_wanted)
        line = QHBoxLayout()
        line.setSpacing(10)
        for widget in (self.clip, self.facts, self.origin):
            line.addWidget(widget)
        line.addStretch(1)
        for widget in (self.dot, self.server, self.device, self.price):
            line.addWidget(widget)
        line.addWidget(self.render_all)
        layout.addLayout(line)
        layout.setContentsMargins(12, 7, 8, 7)
        for signal in (
            editor.session_changed,
            editor.link_changed,
            editor.info_changed,
            editor.estimate_changed,
            editor.job_changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        self._show_clip()
        self._show_server()
        model = self._editor.model
        estimate = model.estimate
        self.price.setText(f"To render: {cost(estimate)}" if estimate else "")
        self.price.setToolTip("What a render of the whole clip would do now; the rest is reused.")
        ready = model.link is Link.CONNECTED and bool(model.keys) and not model.is_rendering
        self.render_all.setEnabled(ready)

    def _show_clip(self) -> None:
        model = self._editor.model
        if model.session is None:
            self.clip.setText("Inbetween")
            return
        clip = model.session.clip
        self.clip.setText(PurePath(clip.media_path or clip.host.identity).name or "Clip")
        self.clip.setToolTip(clip.media_path or clip.host.identity)
        self.facts.setText(
            f"{plural(model.last - model.first + 1, 'frame')} · {float(model.rate):.5g} fps · "
            f"{clip.size.width}x{clip.size.height}"
        )
        self.origin.setText(f"from {clip.host.application}" if clip.host.application else "")

    def _show_server(self) -> None:
        model = self._editor.model
        text, color = {
            Link.CONNECTING: ("Connecting…", FAINT),
            Link.CONNECTED: ("Render server", READY),
            Link.GONE: ("Server not answering", FAILED),
            Link.NO_SESSION: ("Render server", OUT_OF_DATE),
        }[model.link]
        self.server.setText(text)
        self.dot.setStyleSheet(f"color: {color}")
        self.device.setText(model.info.device if model.link is not Link.GONE else "")
        self.device.setToolTip(f"Version {model.info.version}")
