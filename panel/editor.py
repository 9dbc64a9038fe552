"""Joins model, connection and undo: what a gesture does, and who must be told."""

import random
from pathlib import Path

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from panel.connection import Connection
from panel.model.edits import (
    AddKey,
    ChangeKey,
    ChangeSetting,
    DeleteKey,
    Edit,
    ImportPainting,
    MoveKey,
    Value,
    value_set,
)
from panel.model.notices import Notice, notice_of
from panel.model.session import Link, SessionModel, is_active
from panel.model.settings import SettingField
from panel.model.wording import plural

ESTIMATE_DELAY_MS = 150
LARGEST_SEED = 2**31 - 1


class Editor(QObject):
    """The session in the window's hands. Widgets read `model` and call the methods below."""

    link_changed = Signal()
    info_changed = Signal()
    session_changed = Signal()
    frames_changed = Signal(object)
    """The frames whose state changed: a list of integers."""
    job_changed = Signal()
    preview_changed = Signal()
    estimate_changed = Signal()
    playhead_moved = Signal()
    selection_changed = Signal()
    refused = Signal(str)
    """The server's sentence on an edit that it did not accept."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.model = SessionModel()
        self.connection = connection
        self.undo_stack = QUndoStack(self)
        self._commands: dict[int, _EditCommand] = {}
        self._shown_selection: int | None = None
        self._estimate_timer = QTimer(self, singleShot=True)
        self._estimate_timer.setInterval(ESTIMATE_DELAY_MS)
        self._estimate_timer.timeout.connect(self._ask_estimate)
        connection.link_changed.connect(self._take_link)
        connection.info_arrived.connect(self._take_info)
        connection.session_arrived.connect(self._take_session)
        connection.frames_arrived.connect(self._take_frames)
        connection.job_arrived.connect(self._take_job)
        connection.preview_arrived.connect(self._take_preview)
        connection.edit_made.connect(self._edit_made)
        connection.edit_refused.connect(self._edit_refused)
        connection.failed.connect(self.refused)

    @property
    def notice(self) -> Notice | None:
        return notice_of(self.model)

    # Key frames

    def add_key(self, frame: int | None = None) -> None:
        """Places a key frame, at the playhead unless said otherwise, and selects it."""
        index = self.model.playhead if frame is None else frame
        if index not in self.model.keys:
            self._do(AddKey(index))
        self.select(index)

    def delete_key(self) -> None:
        if self.model.selected is not None:
            self._do(DeleteKey(self.model.selected))

    def move_key(self, index: int, to_index: int) -> None:
        """Moves a key frame to a frame that has none; the selection goes with it."""
        if to_index in self.model.keys or not self.model.first <= to_index <= self.model.last:
            return
        self._do(MoveKey(index, to_index))
        self.select(to_index)

    def nudge_key(self, frames: int) -> None:
        if self.model.selected is not None:
            self.move_key(self.model.selected, self.model.selected + frames)

    def change_key(self, text: str, **changes: Value | None) -> None:
        """Sets what the selected key frame sets for itself; None: as the clip."""
        key = self.model.selected_key
        if key is None:
            return
        new = {name: value for name, value in changes.items() if value != value_set(key, name)}
        if new:
            self._do(ChangeKey(key.index, tuple(new.items()), f"{text} of key frame {key.index}"))

    def choose_take(self, address: str) -> None:
        self.change_key("Choose take", chosen_take=address)

    def toggle_anchor(self) -> None:
        """Marks the selected key frame as the anchor of those after it, or takes the mark away."""
        key = self.model.selected_key
        if key is not None:
            self.change_key("Change anchor mark", anchor=None if key.anchor else True)

    def new_seed(self) -> None:
        """Another seed for the selected key frame, which then waits for its painting."""
        seed = random.randint(0, LARGEST_SEED)  # noqa: S311 - not a secret
        self.change_key("New seed", seed=seed, chosen_take=None)

    def import_painting(self, path: Path, size_rule: pb.SizeRule.ValueType) -> None:
        """Makes a picture file the take of the selected key frame, or of a new one."""
        index = self.model.playhead if self.model.selected is None else self.model.selected
        try:
            file_bytes = path.read_bytes()
        except OSError as error:
            self.refused.emit(
                f"{path.name} cannot be read ({error.strerror}): choose another file."
            )
            return
        self._do(ImportPainting(index, path, size_rule, file_bytes))
        self.select(index)

    # Settings and work

    def change_setting(self, setting: SettingField, value: Value) -> None:
        session = self.model.session
        if session is not None and value != setting.value(session.settings):
            self._do(ChangeSetting(setting.group, setting.name, value, setting.shown.label))

    def paint_key(self) -> None:
        """Paints the selected key frame as today's settings ask for, against today's others."""
        key = self.model.selected_key
        if key is None:
            return
        self.change_key("Follow the settings", chosen_take=None)
        self.connection.start_job(key.index, key.index, keys_only=True, renew=True)

    def renew_keys(self) -> None:
        """Paints all key frames again that were painted against older ones."""
        keys = self.model.older_keys
        if keys:
            self.connection.start_job(keys[0], keys[-1], keys_only=True, renew=True)

    def render_all(self) -> None:
        if self.model.session is not None:
            self.connection.start_job(self.model.first, self.model.last, keys_only=False)

    def cancel(self) -> None:
        """Cancels the job at work; what it finished is kept."""
        if self.model.job is not None and is_active(self.model.job):
            self.model.cancelled = self.model.job.id
            self.connection.cancel_job(self.model.job.id)
            self.job_changed.emit()

    def dismiss_job(self) -> None:
        """Takes the word about the last job away."""
        self.model.job = None
        self.job_changed.emit()

    def retry(self) -> None:
        """Starts the job that failed once more."""
        job = self.model.job
        if job is not None:
            self.connection.start_job(
                job.range.first, job.range.last, keys_only=job.keys_only, renew=job.renew
            )

    # Playhead and selection

    def move_playhead(self, frame: int) -> None:
        if self.model.move_playhead(frame):
            self.playhead_moved.emit()
        self._show_selection()

    def step(self, frames: int) -> None:
        self.move_playhead(self.model.playhead + frames)

    def go_to_neighbour_key(self, direction: int) -> None:
        key = self.model.neighbour_key(direction)
        if key is not None:
            self.select(key)

    def select(self, key: int) -> None:
        """Selects a key frame and brings the playhead to it."""
        self.model.selected = key if key in self.model.keys else None
        self.move_playhead(key)

    # Edits on their way

    def _do(self, edit: Edit) -> None:
        if self.model.session is not None:
            self.undo_stack.push(_EditCommand(self, edit, edit.undone(self.model.session)))

    def perform(self, command: "_EditCommand", edit: Edit) -> None:
        number = self.model.begin(edit)
        self._commands[number] = command
        self._show_session()
        self.connection.send_edit(number, edit)

    def _edit_made(self, number: int, revision: int) -> None:
        self._commands.pop(number, None)
        self.model.made(number, revision)
        self._show_session()

    def _edit_refused(self, number: int, reason: str) -> None:
        command = self._commands.pop(number, None)
        if command is None:  # of a session that is gone
            return
        self.model.refused(number)
        command.setObsolete(True)
        stack = self.undo_stack
        if stack.index() and stack.command(stack.index() - 1) is command:
            stack.undo()  # takes the obsolete command off the stack
        self._show_session()
        self.refused.emit(reason)

    # From the connection

    def _take_link(self, link: Link, text: str) -> None:
        self.model.take_link(link, text)
        self.link_changed.emit()
        self.job_changed.emit()

    def _take_info(self, info: render_pb2.GetServerInfoResponse) -> None:
        self.model.info = info
        self.info_changed.emit()

    def _take_session(self, session: pb.Session) -> None:
        before = self.model.session
        is_first = before is None
        if before is not None and before.id != session.id:
            self._leave_session()
        self.model.take_session(session)
        self._show_session()
        if is_first:
            self.playhead_moved.emit()
            self.move_playhead(self.model.playhead)
        self._estimate_timer.start()

    def _leave_session(self) -> None:
        """Before another one: nothing of this one's edits is done or undone there."""
        unsent = self.model.unsent_edits
        self._commands.clear()
        self.undo_stack.clear()
        if unsent:
            self.refused.emit(
                f"{plural(unsent, 'change')} did not reach the session before this one, which is "
                "gone."
            )

    def _take_frames(self, runs: list[pb.FrameRun]) -> None:
        before = self.model.frames.copy()
        self.model.frames.update(runs)
        changed = self.model.frames.changed_from(before)
        if changed:
            self.frames_changed.emit(changed)

    def _take_job(self, job: pb.Job) -> None:
        self.model.take_job(job)
        self.job_changed.emit()
        if not is_active(job):
            self._estimate_timer.start()

    def _take_preview(self, preview: pb.Preview) -> None:
        self.model.take_preview(preview)
        self.preview_changed.emit()

    def _show_session(self) -> None:
        self.session_changed.emit()
        self._show_selection()  # a key frame that is gone is not selected any more

    def _show_selection(self) -> None:
        if self.model.selected != self._shown_selection:
            self._shown_selection = self.model.selected
            self.selection_changed.emit()

    def _ask_estimate(self) -> None:
        self.connection.estimate_cost(self._take_estimate)
        if self.model.older_keys:
            self.connection.estimate_renewal(self._take_renewal)
        else:
            self._take_renewal(None)

    def _take_estimate(self, estimate: render_pb2.EstimateCostResponse) -> None:
        self.model.estimate = estimate
        self.estimate_changed.emit()

    def _take_renewal(self, renewal: render_pb2.EstimateCostResponse | None) -> None:
        self.model.renewal = renewal
        self.estimate_changed.emit()


class _EditCommand(QUndoCommand):
    """One gesture on the undo stack."""

    def __init__(self, editor: Editor, edit: Edit, inverse: Edit) -> None:
        super().__init__(edit.text)
        self._editor = editor
        self._edit = edit
        self._inverse = inverse

    def redo(self) -> None:
        if not self.isObsolete():
            self._editor.perform(self, self._edit)

    def undo(self) -> None:
        if not self.isObsolete():
            self._editor.perform(self, self._inverse)
