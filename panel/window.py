"""The window of the panel."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QAction, QCloseEvent, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from panel.connection import Connection
from panel.editor import Editor
from panel.model.notices import Remedy
from panel.model.timecode import nominal_rate
from panel.model.wording import plural
from panel.shortcuts import PEEK_KEY, SHORTCUTS, Shortcut
from panel.widgets.header import Header
from panel.widgets.help_overlay import HelpOverlay
from panel.widgets.key_card import KeyCard
from panel.widgets.key_list import KeyList
from panel.widgets.notice_view import NoticeView
from panel.widgets.shot_card import ShotCard
from panel.widgets.status_bar import StatusBar
from panel.widgets.timeline import Timeline
from panel.widgets.transport import Playback, TransportBar, ViewBar
from panel.widgets.viewer import Viewer, ViewMode

SIZE = (1600, 1000)
CARDS_WIDTH = 392
MOVIE_FILES = (
    "Movies and pictures (*.mp4 *.mov *.mkv *.avi *.webm *.mxf *.png *.exr *.tif);;All (*)"
)
KEY_MENU = ("paint key", "anchor", "delete key")
NAVIGATION = {
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
}


class Window(QMainWindow):
    """Everything the editor sees, on one session."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.setWindowTitle("Inbetween · key frames")
        self.resize(*SIZE)
        self.connection = connection
        self.editor = Editor(connection)
        self.actions_by_name = self._bind_shortcuts()
        self.viewer = Viewer(self.editor)
        self.playback = Playback(self.editor)
        self.timeline = Timeline(self.editor)
        self.header = Header(self.editor)
        self.shot_card = ShotCard(self.editor)
        self.key_card = KeyCard(self.editor)
        self.key_list = KeyList(self.editor)
        self.status_bar = StatusBar(self.editor)
        self.view_bar = ViewBar(self.viewer, self.actions_by_name)
        self.transport = TransportBar(self.editor, self.playback, self.actions_by_name)
        self.key_menu = QMenu(self)
        self.key_menu.addActions([self.actions_by_name[name] for name in KEY_MENU])
        self.page = NoticeView(as_page=True)
        self.strip = NoticeView(as_page=False)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.page)
        self._pages.addWidget(self._workspace())
        self.setCentralWidget(self._framed())
        self.help = HelpOverlay(self)
        self._connect()
        self._show_notice()
        QApplication.instance().installEventFilter(self)  # type: ignore[union-attr]
        connection.start()

    @property
    def is_settled(self) -> bool:
        """Whether everything that is to be seen has arrived."""
        return (
            self.editor.model.session is not None
            and self.editor.model.estimate is not None
            and self.viewer.is_settled
            and self.timeline.is_settled
            and self.key_card.is_settled
        )

    # Building

    def _workspace(self) -> QWidget:
        pictures = QVBoxLayout()
        pictures.setSpacing(6)
        pictures.addWidget(self.view_bar)
        pictures.addWidget(self.viewer, 1)
        pictures.addWidget(self.transport)
        upper = QHBoxLayout()
        upper.setSpacing(8)
        upper.addLayout(pictures, 1)
        upper.addWidget(self._cards())
        workspace = QWidget()
        layout = QVBoxLayout(workspace)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.strip)
        layout.addLayout(upper, 1)
        layout.addWidget(self.timeline)
        return workspace

    def _cards(self) -> QWidget:
        cards = QWidget()
        layout = QVBoxLayout(cards)
        layout.setContentsMargins(0, 0, 4, 0)
        layout.setSpacing(8)
        layout.addWidget(self.shot_card)
        layout.addWidget(self.key_card)
        layout.addWidget(self.key_list, 1)
        scroll = QScrollArea()
        scroll.setWidget(cards)
        scroll.setWidgetResizable(True)
        scroll.setFixedWidth(CARDS_WIDTH)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return scroll

    def _framed(self) -> QWidget:
        frame = QWidget()
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(8)
        layout.addWidget(self.header)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.status_bar)
        return frame

    def _bind_shortcuts(self) -> dict[str, QAction]:
        actions = {shortcut.name: self._action(shortcut) for shortcut in SHORTCUTS}
        self.addActions(list(actions.values()))
        return actions

    def _action(self, shortcut: Shortcut) -> QAction:
        action = QAction(shortcut.text, self)
        action.setShortcuts([QKeySequence(keys) for keys in shortcut.keys])
        action.setAutoRepeat(shortcut.repeats)
        return action

    def _connect(self) -> None:
        editor = self.editor
        gestures: dict[str, Callable[[], object]] = {
            "play": self.playback.toggle,
            "shuttle back": lambda: self.playback.shuttle(-1),
            "stop": self.playback.stop,
            "shuttle on": lambda: self.playback.shuttle(1),
            "back": lambda: editor.step(-1),
            "forward": lambda: editor.step(1),
            "second back": lambda: editor.step(-nominal_rate(editor.model.rate)),
            "second on": lambda: editor.step(nominal_rate(editor.model.rate)),
            "first": lambda: editor.move_playhead(editor.model.first),
            "last": lambda: editor.move_playhead(editor.model.last),
            "previous key": lambda: editor.go_to_neighbour_key(-1),
            "next key": lambda: editor.go_to_neighbour_key(1),
            "go to": self.transport.type_position,
            "go on by": lambda: self.transport.type_position("+"),
            "add key": editor.add_key,
            "delete key": editor.delete_key,
            "nudge back": lambda: editor.nudge_key(-1),
            "nudge on": lambda: editor.nudge_key(1),
            "paint key": self._paint_key,
            "anchor": editor.toggle_anchor,
            "import painting": self.key_card.import_painting,
            "show source": lambda: self.viewer.set_mode(ViewMode.SOURCE),
            "show result": lambda: self.viewer.set_mode(ViewMode.RESULT),
            "show wipe": lambda: self.viewer.set_mode(ViewMode.WIPE),
            "fit": self.viewer.fit,
            "fit timeline": self.timeline.fit,
            "render all": self._render_all,
            "cancel": editor.cancel,
            "undo": editor.undo_stack.undo,
            "redo": editor.undo_stack.redo,
            "help": self._show_help,
        }
        for name, action in self.actions_by_name.items():
            action.triggered.connect(_without_arguments(gestures[name]))
        self.key_card.paint_wanted.connect(self._paint_key)
        self.header.render_wanted.connect(self._render_all)
        self.timeline.menu_wanted.connect(self._show_key_menu)
        self.key_list.menu_wanted.connect(self._show_key_menu)
        for signal in (
            editor.link_changed,
            editor.session_changed,
            editor.info_changed,
            editor.job_changed,
            editor.frames_changed,
        ):
            signal.connect(self._show_notice)
        for view in (self.page, self.strip):
            view.remedy_wanted.connect(self._remedy)
            view.dismissed.connect(editor.dismiss_job)

    # Gestures

    def _paint_key(self) -> None:
        self._commit()
        self.editor.paint_key()

    def _render_all(self) -> None:
        if self.header.render_all.isEnabled():
            self._commit()
            self.editor.render_all()

    def _commit(self) -> None:
        """Takes what was typed but not finished before work begins with it."""
        self.shot_card.commit()
        self.key_card.commit()

    def _remedy(self, remedy: Remedy) -> None:
        {
            Remedy.OPEN_MOVIE: self._open_movie,
            Remedy.START_SERVER: start_server,
            Remedy.ADD_KEY: self.editor.add_key,
            Remedy.RETRY: self.editor.retry,
        }[remedy]()

    def _open_movie(self) -> None:
        dialog = QFileDialog(self, "Open movie", "", MOVIE_FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.connection.open_movie(Path(path)))
        dialog.open()

    def _show_key_menu(self, place: QPoint) -> None:
        """What can be done with the selected key frame."""
        key = self.editor.model.selected_key
        anchor = self.actions_by_name["anchor"]
        anchor.setText("No longer an anchor" if key and key.anchor else "Make it an anchor")
        self.key_menu.popup(place)

    def _show_help(self) -> None:
        self.help.toggle()

    # Showing

    def _show_notice(self) -> None:
        notice = self.editor.notice
        has_clip = self.editor.model.session is not None
        is_first = has_clip and self._pages.currentIndex() == 0
        self._pages.setCurrentIndex(1 if has_clip else 0)
        self.strip.setVisible(notice is not None)
        self.timeline.setVisible(has_clip)
        if is_first:
            self.timeline.setFocus()  # Otherwise Qt chooses a button, and Space presses that one.
        if notice is not None:
            self.strip.show_notice(notice)
            self.page.show_notice(notice)

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self.help.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if isinstance(event, QKeyEvent) and self.isActiveWindow():
            if event.type() == QEvent.Type.ShortcutOverride and _wants_key(watched, event):
                event.accept()
                return True
            if event.text() == PEEK_KEY and not event.isAutoRepeat():
                self._peek(event)
        return super().eventFilter(watched, event)

    def _peek(self, event: QKeyEvent) -> None:
        if event.type() == QEvent.Type.KeyPress and not _types_text(QApplication.focusWidget()):
            self.viewer.peek_source(True)
        elif event.type() == QEvent.Type.KeyRelease:
            self.viewer.peek_source(False)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        unsent = self.editor.model.unsent_edits
        if unsent and not self._may_lose(unsent):
            event.ignore()
            return
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Ends all threads; the window is of no use any more."""
        QApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]
        self.playback.stop()
        for widget in (self.viewer, self.timeline, self.key_card):
            widget.close_reader()
        self.connection.close()
        # PySide6 6.11: commands that outlive this call are freed twice when Python collects them.
        self.editor.undo_stack.clear()

    def _may_lose(self, unsent: int) -> bool:
        answer = QMessageBox.question(
            self,
            "Close the panel?",
            f"{plural(unsent, 'change')} did not reach the render server yet and would be lost. "
            "Close nevertheless?",
        )
        return answer == QMessageBox.StandardButton.Yes


def start_server() -> None:
    """Starts the render server of this installation; it stays when the panel closes."""
    subprocess.Popen(
        [sys.executable, "-m", "server.cli", "server", "start"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _without_arguments(function: Callable[[], object]) -> Callable[..., object]:
    """For signals that hand over arguments which a gesture has no use for."""
    return lambda *_: function()


def _wants_key(widget: QObject, event: QKeyEvent) -> bool:
    """Whether the widget with the focus uses this key itself, instead of the window."""
    if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
        return False
    if isinstance(widget, QAbstractButton) and widget.hasFocus():
        return event.key() == Qt.Key.Key_Space
    moves = QAbstractSlider | QAbstractItemView | QAbstractSpinBox | QComboBox
    return isinstance(widget, moves) and widget.hasFocus() and event.key() in NAVIGATION


def _types_text(widget: QWidget | None) -> bool:
    return widget is not None and widget.testAttribute(Qt.WidgetAttribute.WA_InputMethodEnabled)
