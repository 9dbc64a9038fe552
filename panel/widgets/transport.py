"""What stands above and below the picture: view modes, and moving through the clip."""

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QLineEdit, QToolButton, QWidget

from panel.editor import Editor
from panel.icons import icon
from panel.model.timecode import parse_position, timecode
from panel.widgets.parts import button, label
from panel.widgets.viewer import Viewer, ViewMode

FASTEST = 8
PLAY_TICK_MS = 15


class Playback(QObject):
    """Play, shuttle and stop. Frames are dropped where the server is slow; time never is."""

    changed = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._speed = 0
        self._start = 0
        self._clock = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def speed(self) -> int:
        """Times the clip's rate; 0 stands still, below it runs backwards."""
        return self._speed

    def toggle(self) -> None:
        self._set_speed(0 if self._speed else 1)

    def stop(self) -> None:
        self._set_speed(0)

    def shuttle(self, direction: int) -> None:
        """J and L: on, and faster at each press."""
        faster = self._speed * 2 if self._speed * direction > 0 else direction
        self._set_speed(max(-FASTEST, min(FASTEST, faster)))

    def _set_speed(self, speed: int) -> None:
        model = self._editor.model
        if speed > 0 and model.playhead == model.last:
            self._editor.move_playhead(model.first)
        self._speed = speed
        self._start = model.playhead
        self._clock.start()
        if speed:
            self._timer.start()
        else:
            self._timer.stop()
        self.changed.emit()

    def _tick(self) -> None:
        model = self._editor.model
        frames = int(self._clock.elapsed() / 1000 * self._speed * model.rate)
        target = self._start + frames
        self._editor.move_playhead(target)
        if not model.first <= target <= model.last:
            self.stop()


class ViewBar(QWidget):
    """Source, result or wipe."""

    def __init__(self, viewer: Viewer, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._viewer = viewer
        self._group = QButtonGroup(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.modes = {}
        for mode, key in ((ViewMode.SOURCE, "1"), (ViewMode.RESULT, "2"), (ViewMode.WIPE, "W")):
            made = button(f"{mode.value}  {key}")
            made.setCheckable(True)
            made.clicked.connect(lambda _=False, mode=mode: viewer.set_mode(mode))
            self._group.addButton(made)
            self.modes[mode] = made
            layout.addWidget(made)
        layout.addStretch(1)
        layout.addWidget(label("hold \\ for the source", "dim"))
        fit = button("Fit  F")
        fit.clicked.connect(actions["fit"].trigger)
        layout.addWidget(fit)
        viewer.mode_changed.connect(self._show_mode)
        self._show_mode()

    def _show_mode(self) -> None:
        self.modes[self._viewer.mode].setChecked(True)


class TransportBar(QWidget):
    """First, previous, play, next, last; where the playhead is; add a key frame."""

    def __init__(self, editor: Editor, playback: Playback, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._editor = editor
        self._playback = playback
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for action, name in (
            ("first", "first"),
            ("previous key", "previous key"),
            ("back", "back"),
            ("play", "play"),
            ("forward", "forward"),
            ("next key", "next key"),
            ("last", "last"),
        ):
            layout.addWidget(self._button(actions[action], name))
        self.time = QLabel()
        self.time.setProperty("role", "title")
        self.frame = label(role="dim")
        self.entry = QLineEdit()
        self.entry.setFixedWidth(150)
        self.entry.setPlaceholderText("61, +20 or 1:12")
        self.entry.setAccessibleName("Go to frame")
        self.entry.hide()
        layout.addSpacing(8)
        for widget in (self.time, self.frame, self.entry):
            layout.addWidget(widget)
        layout.addStretch(1)
        add = button("Add key frame  M")
        add.setIcon(icon("key"))
        add.clicked.connect(actions["add key"].trigger)
        layout.addWidget(add)
        shortcuts = self._button(actions["help"], "help")
        layout.addWidget(shortcuts)
        self.entry.returnPressed.connect(self._go)
        self.entry.editingFinished.connect(self.entry.hide)
        editor.playhead_moved.connect(self.refresh)
        editor.session_changed.connect(self.refresh)
        playback.changed.connect(self.refresh)

    def type_position(self, text: str = "") -> None:
        """Opens the field for a frame, an offset or a timecode."""
        self.entry.setText(text)
        self.entry.show()
        self.entry.setFocus()

    def refresh(self) -> None:
        model = self._editor.model
        self.time.setText(timecode(model.playhead, model.rate))
        speed = self._playback.speed
        running = f" · {speed}x" if speed not in (0, 1) else ""
        self.frame.setText(f"F {model.playhead}{running}")
        self.play.setIcon(icon("pause" if speed else "play"))

    def _go(self) -> None:
        model = self._editor.model
        frame = parse_position(self.entry.text(), model.playhead, model.rate)
        if frame is not None:
            self._editor.move_playhead(frame)
        self.entry.clearFocus()

    def _button(self, action: QAction, icon_name: str) -> QToolButton:
        made = QToolButton()
        made.setIcon(icon(icon_name))
        made.setToolTip(f"{action.text()} ({action.shortcut().toString()})")
        made.setAccessibleName(action.text())
        made.clicked.connect(action.trigger)
        if icon_name == "play":
            self.play = made
        return made
