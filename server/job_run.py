"""One job, from its plan to its last frame: what the worker is given, and what it tells."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inbetween.v1.session_pb2 import Job, JobState
from inbetween.v1.session_pb2 import Preview as PreviewMessage
from inbetween.v1.session_pb2 import Stage as StageMessage

from engine.errors import InbetweenError
from engine.plan import Address, Paint, Plan
from engine.report import Stage
from engine.store import Step
from engine.types import FrameRange
from engine.wording import plural
from server.accounts import Accounts, pieces_of
from server.changes import Changes, Topic
from server.convert import frame_range_of
from server.effort import Piece, loading, this_machine
from server.errors import NotPossibleNowError
from server.forecast import Forecast, Outlook, foretold
from server.planning import PlanInputs, key_frames_only, make_session_plan, without_delivered
from server.session import Session
from server.session_folder import evict, sweep
from server.sessions import Sessions
from server.speeds import Speeds
from server.state import SessionState
from server.work.tasks import (
    CutsFound,
    Delivered,
    FindCuts,
    News,
    Notice,
    Preview,
    Progress,
    Render,
    StepDone,
)
from server.work.worker import Worker

ACTIVE = (JobState.JOB_STATE_QUEUED, JobState.JOB_STATE_RUNNING)
STAGES = {
    Stage.LOADING_MODEL: StageMessage.STAGE_LOADING_MODEL,
    Stage.FINDING_CUTS: StageMessage.STAGE_FINDING_CUTS,
    Stage.PAINTING: StageMessage.STAGE_PAINTING,
    Stage.PROPAGATING: StageMessage.STAGE_PROPAGATING,
    Stage.BLENDING: StageMessage.STAGE_BLENDING,
}


@dataclass
class Entry:
    """A job, who wants it, and how it stands."""

    message: Job
    lasting: bool
    """Asked for by StartJob; otherwise it ends with the last call that waits for it."""
    waiting_calls: int = 0
    revision: int | None = None
    """Of the session, as planned; None: it will be planned as the session is then."""
    cancelled: bool = False
    error: InbetweenError | None = None
    preview: PreviewMessage | None = None
    """The newest one of the key frame that is being painted."""
    accounts: Accounts | None = None
    """While it runs."""

    @property
    def active(self) -> bool:
        return self.message.state in ACTIVE

    def renders(self, session: Session, frames: FrameRange) -> bool:
        """Whether this job, as planned or to be planned, makes those frames."""
        planned = frame_range_of(self.message.range)
        current = self.revision in (None, session.state.revision)
        return (
            self.active
            and not self.cancelled
            and current
            and self.message.session_id == session.id
            and planned.first <= frames.first
            and frames.last <= planned.last
        )

    def shown(self) -> Job:
        """The job as it stands now."""
        if self.accounts is not None:
            self.accounts.write_into(self.message, time.monotonic())
        copy = Job()
        copy.CopyFrom(self.message)
        return copy


class Rendering:
    """How jobs are done, one at a time. Others may ask meanwhile what a job would be."""

    def __init__(
        self,
        sessions: Sessions,
        changes: Changes,
        worker: Worker,
        speeds: Speeds,
        lock: threading.Condition,
        work_folder: Path,
        work_budget_bytes: int,
    ) -> None:
        """`lock` is held while an entry is changed."""
        self._sessions = sessions
        self._changes = changes
        self._worker = worker
        self._speeds = speeds
        self._lock = lock
        self._work_folder = work_folder
        self._work_budget_bytes = work_budget_bytes
        self._loaded: tuple[int | None, str] = (None, "")
        """The process of the worker that has loaded a model, and the kind of work that was."""

    def check(self, session: Session, wanted: Job) -> None:
        """Raises what would make the job fail at once."""
        frames = frame_range_of(wanted.range)
        for index in (frames.first, frames.last):
            session.check_index(index)
        _, inputs = session.snapshot()
        if not any(key.index in inputs.facts.frame_range for key in inputs.key_frames):
            raise NotPossibleNowError(
                "The clip has no key frame: add one, or set a key interval, then render."
            )
        self._plan(session, inputs, wanted)

    def foretold(self, session: Session, frames: FrameRange, steps: Sequence[Step]) -> Outlook:
        """How long a job of those steps would take on this machine."""
        if not steps:
            return Outlook(fraction=0.0, seconds_left=0.0, is_rough=False)
        pieces = self._pieces(session, steps, session.unexamined(frames))
        return foretold(self._speeds, pieces.values())

    def render(self, entry: Entry) -> None:
        """Does the job. Raises what ends it before its end."""
        session = self._sessions.get(entry.message.session_id)
        frames = frame_range_of(entry.message.range)
        accounts = Accounts(Forecast(self._speeds, time.monotonic()))
        session.refresh_media()
        if unexamined := session.unexamined(frames):
            # What is planned before the cuts are known is near enough to tell how long it takes.
            self._foresee(entry, accounts, session, unexamined)
            self._find_cuts(entry, accounts, session, unexamined)
        state, plan, delivered = self._foresee(entry, accounts, session, ())
        entry.revision = state.revision
        self._changes.tell(session.id, Topic.FRAMES)
        task = Render(session.worker_source(), plan, state.settings, session.folder, delivered)
        try:
            with closing(self._task(entry, task)) as stream:
                for news in stream:
                    self._hear(entry, accounts, session, news)
        finally:
            for kind, pace in accounts.forecast.measured_paces():
                self._speeds.learn(kind, pace)
            self._tidy_up(plan)
            session.write_description()

    def _foresee(
        self, entry: Entry, accounts: Accounts, session: Session, unexamined: Sequence[int]
    ) -> tuple[SessionState, Plan, Mapping[int, Address]]:
        """Plans, and foretells how long that takes."""
        state, inputs = session.snapshot()
        plan = self._plan(session, inputs, entry.message)
        delivered = {index: frame.address for index, frame in session.sequence.items()}
        plan, finished = without_delivered(plan, delivered)
        to_do = [step for step in plan.steps if not session.folder.has(step.address)]
        pieces = self._pieces(session, to_do, unexamined)
        with self._lock:
            accounts.plan(to_do, finished, pieces)
            accounts.start(time.monotonic())
            entry.accounts = accounts
        return state, plan, delivered

    def _pieces(
        self, session: Session, steps: Sequence[Step], unexamined: Sequence[int]
    ) -> Mapping[str, Piece]:
        process = self._worker.process_id
        loaded_by, loaded = self._loaded
        return pieces_of(
            steps,
            session.state,
            unexamined,
            worker_runs=process is not None,
            loaded=loaded if loaded_by == process else "",
        )

    def _find_cuts(
        self, entry: Entry, accounts: Accounts, session: Session, indices: Sequence[int]
    ) -> None:
        task = FindCuts(session.worker_source(), tuple(indices))
        with closing(self._task(entry, task)) as stream:
            for news in stream:
                if isinstance(news, CutsFound):
                    with self._lock:
                        accounts.found_cuts(time.monotonic())
                    session.found_cuts(indices, news.cuts)
                else:
                    self._hear(entry, accounts, session, news)

    def _task(self, entry: Entry, task: FindCuts | Render) -> Generator[News]:
        with closing(self._worker.run(task)) as stream:
            for news in stream:
                if entry.cancelled:
                    # It may have been cancelled before the worker had the task.
                    self._worker.cancel()
                yield news

    def _plan(self, session: Session, inputs: PlanInputs, wanted: Job) -> Plan:
        frames = frame_range_of(wanted.range)
        _check_sources(session, inputs, frames, keys_only=wanted.keys_only)
        plan = make_session_plan(inputs, frames, renew=wanted.renew)
        return key_frames_only(plan, frames) if wanted.keys_only else plan

    def _hear(self, entry: Entry, accounts: Accounts, session: Session, news: News) -> None:
        if isinstance(news, Preview):
            self._show(entry, session, news)
            return
        if isinstance(news, Delivered):
            session.accept(news.index, news.frame)
        elif isinstance(news, StepDone) and isinstance(news.step, Paint):
            session.add_take(news.step)
            if not news.reused and (model := loading(news.step.settings, this_machine())):
                self._loaded = self._worker.process_id, model.kind
        with self._lock:
            self._enter(entry, accounts, news)
        self._changes.tell(session.id, Topic.JOBS)

    def _show(self, entry: Entry, session: Session, news: Preview) -> None:
        with self._lock:
            entry.preview = PreviewMessage(
                job_id=entry.message.id, frame=news.frame, picture=news.picture
            )
        self._changes.tell(session.id, Topic.PREVIEWS)

    def _enter(self, entry: Entry, accounts: Accounts, news: News) -> None:
        message = entry.message
        match news:
            case Progress():
                message.stage = STAGES[news.stage]
                message.frame, message.step, message.steps = news.frame, news.step, news.steps
                accounts.follow(news, time.monotonic())
                message.number = accounts.begun[news.stage]
            case StepDone():
                accounts.finish(news.step, news.seconds, reused=news.reused)
                entry.preview = None
            case Notice() if news.text not in message.notices:  # each key frame may say the same
                message.notices.append(news.text)
            case _:
                pass

    def _tidy_up(self, plan: Plan) -> None:
        keep = {step.address for step in plan.steps}
        evict(self._work_folder, self._work_budget_bytes, keep)
        sweep(self._work_folder)


def _check_sources(
    session: Session, inputs: PlanInputs, frames: FrameRange, *, keys_only: bool
) -> None:
    """Raises NotPossibleNowError where the host has not sent what the job reads."""
    spans = (
        [FrameRange(key.index, key.index) for key in inputs.key_frames if key.index in frames]
        if keys_only
        else [frames]
    )
    missing = sorted({index for span in spans for index in session.missing_sources(span)})
    if missing:
        raise NotPossibleNowError(
            f"The host has not sent {plural(len(missing), 'source frame')} yet, the first of them "
            f"{missing[0]}: use Render clip in the effect, which sends them."
        )
