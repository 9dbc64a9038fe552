"""The bottom line: what is being rendered, how long it takes, and the legend."""

from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from panel.editor import Editor
from panel.model.session import Link, is_running
from panel.model.wording import job_progress, plural, time_text
from panel.style import FAILED, FAINT, OUT_OF_DATE, READY, RENDERING
from panel.widgets.marks import swatch
from panel.widgets.parts import ElidedLabel, button, card, label

MESSAGE_MS = 12_000
LEGEND = (
    (pb.FRAME_STATE_READY, "ready"),
    (pb.FRAME_STATE_RENDERING, "rendering"),
    (pb.FRAME_STATE_OUT_OF_DATE, "out of date"),
    (pb.FRAME_STATE_FAILED, "failed"),
    (pb.FRAME_STATE_SOURCE, "source"),
)


class StatusBar(QWidget):
    """One line on the work, and the answers of the server that need no more than a line."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._message = ""
        self._message_timer = QTimer(self, singleShot=True)
        self._message_timer.setInterval(MESSAGE_MS)
        self._message_timer.timeout.connect(self._forget_message)
        frame, layout = card()
        layout.setContentsMargins(12, 6, 12, 6)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.dot = label("●")
        self.text = ElidedLabel()
        self.progress = QProgressBar()
        self.progress.setMinimumWidth(100)
        self.progress.setMaximumWidth(280)
        self.progress.setRange(0, 1000)
        self.left = label(role="dim")
        self.cancel = button("Cancel  Esc")
        keeps = self.cancel.sizePolicy()
        keeps.setRetainSizeWhenHidden(True)  # so that a job's begin and end move nothing
        self.cancel.setSizePolicy(keeps)
        self.cancel.clicked.connect(editor.cancel)
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(self.dot)
        line.addWidget(self.text, 1)
        line.addWidget(self.progress, 1)
        line.addWidget(self.left)
        line.addWidget(self.cancel)
        line.addSpacing(12)
        for state, name in LEGEND:
            line.addLayout(_legend(state, name))
        layout.addLayout(line)
        editor.refused.connect(self.say)
        for signal in (editor.job_changed, editor.link_changed, editor.session_changed):
            signal.connect(self.refresh)
        editor.frames_changed.connect(self.refresh)
        self.refresh()

    def say(self, text: str) -> None:
        """Shows a sentence for a while."""
        self._message = text
        self._message_timer.start()
        self.refresh()

    def refresh(self) -> None:
        model = self._editor.model
        job = model.job if model.is_rendering else None
        for widget in (self.progress, self.left, self.cancel):
            widget.setVisible(job is not None)
        if job is not None:
            self._show_progress(job)
        text, color = self._line()
        self.text.setText(text)
        self.text.setToolTip(text)
        self.dot.setStyleSheet(f"color: {color}")

    def _show_progress(self, job: pb.Job) -> None:
        self.progress.setValue(round(job.fraction * 1000))
        self.progress.setFormat(f"{job.fraction:.0%}")
        left = time_text(job.seconds_left, is_rough=job.rough)
        self.left.setText(f"{left} left" if job.seconds_left > 0 else "")
        model = self._editor.model
        self.cancel.setEnabled(model.link is Link.CONNECTED and not model.is_cancelling)

    def _line(self) -> tuple[str, str]:
        model = self._editor.model
        job = model.job
        if self._message:
            return self._message, OUT_OF_DATE
        if model.session is None or model.link is not Link.CONNECTED:
            return "", FAINT
        if job is not None and model.is_rendering:
            going = job_progress(job)
            text = f"Cancelling · {going}" if model.is_cancelling else going
            return text, RENDERING if is_running(job) else FAINT
        if job is not None and job.notices:
            return job.notices[-1], OUT_OF_DATE
        if job is not None and job.state == pb.JOB_STATE_CANCELLED:
            return "Cancelled; what was finished is kept.", FAINT
        if failed := model.frames.count(pb.FRAME_STATE_FAILED):
            return f"{plural(failed, 'frame')} failed", FAILED
        ready = model.frames.count(pb.FRAME_STATE_READY)
        total = model.last - model.first + 1
        return f"{ready:,} of {plural(total, 'frame')} ready", READY if ready == total else FAINT

    def _forget_message(self) -> None:
        self._message = ""
        self.refresh()


def _legend(state: pb.FrameState.ValueType, name: str) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(5)
    sample = QLabel()
    sample.setPixmap(swatch(state))
    layout.addWidget(sample)
    layout.addWidget(label(name, "dim"))
    return layout
