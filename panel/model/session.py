"""The session as the panel shows it: what the server has, with the edits on their way to it."""

from enum import Enum
from fractions import Fraction

from inbetween.v1 import render_pb2
from inbetween.v1 import session_pb2 as pb

from panel.model.edits import Edit, key_at
from panel.model.frame_states import FrameStates
from panel.model.settings import painter_named, painter_of


class Link(Enum):
    """How the panel stands with the server."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    GONE = "gone"
    NO_SESSION = "no session"


PAINTING_STAGES = (pb.STAGE_LOADING_MODEL, pb.STAGE_PAINTING)
ACTIVE_JOB_STATES = (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING)


class SessionModel:
    """Session, frame states, jobs, playhead and selection.

    Sessions come from the watch alone. An edit is shown at once and stays on top of the server's
    session until a session arrives that contains it; one that the server refuses is dropped.
    """

    def __init__(self) -> None:
        self.link = Link.CONNECTING
        self.link_text = ""
        self.info = render_pb2.GetServerInfoResponse()
        self.session: pb.Session | None = None
        self.frames = FrameStates(0, 0)
        self.job: pb.Job | None = None
        self.preview: pb.Preview | None = None
        """The newest one of the key frame that is being painted."""
        self.cancelled = ""
        """The job that the person has cancelled last, which may not have ended yet."""
        self.estimate: render_pb2.EstimateCostResponse | None = None
        self.renewal: render_pb2.EstimateCostResponse | None = None
        """What it costs to paint `older_keys` again; None where there are none."""
        self.keys: list[int] = []
        """The frames of the key frames, in order."""
        self.anchors: frozenset[int] = frozenset()
        """Those that others are painted against, or will be."""
        self.older_keys: list[int] = []
        """Those that were painted against takes which are no longer in use."""
        self.playhead = 0
        self.selected: int | None = None
        self._server_session: pb.Session | None = None
        self._pending: dict[int, Edit] = {}
        self._made_in: dict[int, int] = {}
        self._edits_made = 0

    # What comes from the server

    def take_session(self, session: pb.Session) -> None:
        """A session from the watch. Another clip starts anew, without the edits of the last one."""
        known = self._server_session
        if known is not None and known.id != session.id:
            self._pending.clear()
            self._made_in.clear()
        if known is None or known.id != session.id or known.clip.range != session.clip.range:
            self.frames = FrameStates(session.clip.range.first, session.clip.range.last)
            self.playhead = min(max(self.playhead, self.first), self.last)
        self._server_session = session
        arrived = [n for n, made in self._made_in.items() if made <= session.revision]
        for number in arrived:
            self._drop(number)
        self._show()

    def take_link(self, link: Link, text: str) -> None:
        """How the panel stands with the server, which tells anew of the jobs at work."""
        self.link = link
        self.link_text = text
        if self.is_rendering:
            self.job = None
        self._drop_old_preview()

    def take_job(self, job: pb.Job) -> None:
        """A job's progress. The one shown is the one at work, else the last one that ended."""
        current = self.job
        if current is None or job.id == current.id or not is_active(current) or is_running(job):
            self.job = job
        self._drop_old_preview()

    def take_preview(self, preview: pb.Preview) -> None:
        """How a key frame will look, as far as its painting has come."""
        self.preview = preview
        self._drop_old_preview()

    # Edits

    def begin(self, edit: Edit) -> int:
        """Shows an edit at once; the number names it until it is settled."""
        self._edits_made += 1
        self._pending[self._edits_made] = edit
        self._show()
        return self._edits_made

    def made(self, number: int, revision: int) -> None:
        """The server has made the edit; it is shown until the watch brings this revision."""
        if self._server_session is not None and self._server_session.revision >= revision:
            self._drop(number)
            self._show()
        else:
            self._made_in[number] = revision

    def refused(self, number: int) -> None:
        """The server has refused the edit: it is taken back."""
        self._drop(number)
        self._show()

    @property
    def unsent_edits(self) -> int:
        return len(self._pending) - len(self._made_in)

    # Facts

    @property
    def first(self) -> int:
        return self.frames.first

    @property
    def last(self) -> int:
        return self.frames.last

    @property
    def rate(self) -> Fraction:
        rate = self.session.clip.frame_rate if self.session else None
        return (
            Fraction(rate.numerator, rate.denominator)
            if rate and rate.denominator
            else Fraction(24)
        )

    @property
    def selected_key(self) -> pb.KeyFrame | None:
        if self.session is None or self.selected is None:
            return None
        return key_at(self.session, self.selected)

    @property
    def is_rendering(self) -> bool:
        return self.job is not None and is_active(self.job)

    @property
    def painter(self) -> render_pb2.Painter | None:
        """The chosen painter, as the server tells of it."""
        if self.session is None:
            return None
        return painter_named(list(self.info.painters), painter_of(self.session.settings))

    @property
    def is_cancelling(self) -> bool:
        """Whether the job at work is to end and has not yet."""
        return self.job is not None and is_active(self.job) and self.job.id == self.cancelled

    def painting_frame(self) -> int | None:
        """The key frame that is being painted, or whose model is being loaded."""
        if self.job is None or not is_running(self.job) or self.job.stage not in PAINTING_STAGES:
            return None
        return self.job.frame

    def awaits_painting(self, frame: int) -> bool:
        """Whether the job at work is to paint this key frame after the one that it paints now."""
        key = key_at(self.session, frame) if self.session else None
        if self.job is None or key is None or self.painting_frame() in (None, frame):
            return False
        wanted = self.job.range.first <= frame <= self.job.range.last
        return wanted and key.state != pb.KEY_FRAME_STATE_READY

    # Playhead and selection

    def move_playhead(self, frame: int) -> bool:
        """Moves the playhead inside the clip; a key frame under it is selected."""
        target = min(max(frame, self.first), self.last)
        if target in self.keys:
            self.selected = target
        moved = target != self.playhead
        self.playhead = target
        return moved

    def neighbour_key(self, direction: int) -> int | None:
        """The next key frame after the playhead, or the one before it."""
        if direction > 0:
            return min((key for key in self.keys if key > self.playhead), default=None)
        return max((key for key in self.keys if key < self.playhead), default=None)

    def _drop_old_preview(self) -> None:
        if self.preview is not None and self.preview.frame != self.painting_frame():
            self.preview = None

    def _drop(self, number: int) -> None:
        self._pending.pop(number, None)
        self._made_in.pop(number, None)

    def _show(self) -> None:
        session = self._server_session
        for edit in self._pending.values():
            session = edit.applied_to(session) if session is not None else None
        self.session = session
        keys = session.key_frames if session else []
        self.keys = [key.index for key in keys]
        self.anchors = frozenset(
            [key.index for key in keys if key.anchor]
            + [key.anchor_index for key in keys if key.HasField("anchor_index")]
        )
        self.older_keys = [key.index for key in keys if is_against_older(key)]
        if self.selected is not None and self.selected not in self.keys:
            self.selected = None


def is_against_older(key: pb.KeyFrame) -> bool:
    """Whether its take was painted against takes that are no longer in use."""
    return key.state == pb.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER


def is_active(job: pb.Job) -> bool:
    """Whether the job is queued or running."""
    return job.state in ACTIVE_JOB_STATES


def is_running(job: pb.Job) -> bool:
    return job.state == pb.JOB_STATE_RUNNING
