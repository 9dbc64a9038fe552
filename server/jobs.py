"""Work that was asked for: queued, done one job after the other, remembered over a restart."""

import logging
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbetween.v1.session_pb2 import Job, JobState, StageSeconds
from inbetween.v1.session_pb2 import Preview as PreviewMessage
from inbetween.v1.session_pb2 import Stage as StageMessage

from engine.errors import CancelledError, InbetweenError, NotFoundError
from engine.plan import Address, Blend, Paint, Plan, Propagate
from engine.report import Stage
from engine.store import Step
from engine.types import FrameRange
from engine.wording import plural
from server.changes import Changes, Topic
from server.convert import frame_range_of, range_message
from server.database import Database
from server.effort import CUTS, Piece, finding_cuts, loading, piece_of, starting, this_machine
from server.errors import BusyError, NotPossibleNowError, unexpected
from server.forecast import Forecast, Outlook, foretold
from server.planning import PlanInputs, count, key_frames_only, make_session_plan, without_delivered
from server.session import Session
from server.session_folder import evict, sweep
from server.sessions import Sessions
from server.speeds import Speeds
from server.state import SessionState
from server.views import cost_message
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

log = logging.getLogger(__name__)

LONGEST_QUEUE = 100
REMEMBERED_JOBS = 100

ACTIVE = (JobState.JOB_STATE_QUEUED, JobState.JOB_STATE_RUNNING)
STAGES = {
    Stage.LOADING_MODEL: StageMessage.STAGE_LOADING_MODEL,
    Stage.FINDING_CUTS: StageMessage.STAGE_FINDING_CUTS,
    Stage.PAINTING: StageMessage.STAGE_PAINTING,
    Stage.PROPAGATING: StageMessage.STAGE_PROPAGATING,
    Stage.BLENDING: StageMessage.STAGE_BLENDING,
}
STAGE_OF_STEP = {
    Paint: StageMessage.STAGE_PAINTING,
    Propagate: StageMessage.STAGE_PROPAGATING,
    Blend: StageMessage.STAGE_BLENDING,
}
SHORT_STEPS = {Propagate: Stage.PROPAGATING, Blend: Stage.BLENDING}
"""The worker does several of them at once, and tells of none how far it has come."""
STARTING, LOADING = "starting", "loading"
"""With CUTS keys of pieces of work that are no steps of a plan."""


@dataclass
class _Entry:
    """A job and who wants it."""

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
    work: "_Work | None" = None
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


class _Work:
    """What a job has to do, and what of it is done: counted, for there may be 50,000 steps."""

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self.to_do = count(())
        self.done = count(())
        self.reused = count(())
        self.stage_seconds: defaultdict[StageMessage.ValueType, float] = defaultdict(float)
        self._alike: Mapping[Stage, Piece] = {}
        """One of the pieces that nobody tells apart."""
        self._paintings: Mapping[int, str] = {}
        """Frame to its address."""
        self.begun: Counter[Stage] = Counter()
        """How many steps of each stage the worker has been at."""
        self._frame_painted: int | None = None
        self._loading_since: float | None = None
        self._loaded_seconds = 0.0
        """Of the painting that waited for it."""

    def plan(
        self, to_do: Iterable[Step], reused: Iterable[Step], pieces: Mapping[str, Piece]
    ) -> None:
        """What is to be done from now on; some of its pieces are no steps."""
        steps = {step.address: step for step in to_do}
        self.to_do, self.reused = count(steps.values()), count(reused)
        self.forecast.plan(pieces)
        self._paintings = {
            step.frame: address for address, step in steps.items() if isinstance(step, Paint)
        }
        self._alike = {
            SHORT_STEPS[type(step)]: pieces[address]
            for address, step in steps.items()
            if type(step) in SHORT_STEPS
        }

    def note(self, progress: Progress, now: float) -> None:
        """The worker is at it."""
        self._started(now)
        if progress.stage is Stage.LOADING_MODEL:
            if self._loading_since is None:
                self._loading_since = now
                self.forecast.begin(LOADING, now)
            return
        self._loaded(now)
        if progress.stage is Stage.FINDING_CUTS:
            self.forecast.begin(CUTS, now, progress.step, progress.steps)
        elif progress.stage is Stage.PAINTING:
            self.begun[progress.stage] += progress.frame != self._frame_painted
            self._frame_painted = progress.frame
            key = self._paintings.get(progress.frame, "")
            self.forecast.begin(key, now, progress.step, progress.steps)
        else:
            self.begun[progress.stage] += 1
            if piece := self._alike.get(progress.stage):
                self.forecast.begin_one(piece, now)

    def start(self, now: float) -> None:
        """The worker has been given something to do."""
        self.forecast.begin(STARTING, now)

    def found_cuts(self, now: float) -> None:
        if (seconds := self.forecast.seconds_at(CUTS, now)) is not None:
            self.stage_seconds[StageMessage.STAGE_FINDING_CUTS] += seconds
            self.forecast.finish(CUTS, seconds)

    def finish(self, step: Step, seconds: float, *, reused: bool) -> None:
        if reused:
            self.forecast.finish(step.address, None)
            self.reused += count([step])
            return
        if isinstance(step, Paint):
            seconds = max(0.0, seconds - self._loaded_seconds)
            self._loaded_seconds = 0.0
        self.forecast.finish(step.address, seconds)
        self.done += count([step])
        self.stage_seconds[STAGE_OF_STEP[type(step)]] += seconds

    def _started(self, now: float) -> None:
        if (seconds := self.forecast.seconds_at(STARTING, now)) is not None:
            self.forecast.finish(STARTING, seconds)

    def _loaded(self, now: float) -> None:
        if self._loading_since is not None:
            self._loaded_seconds = now - self._loading_since
            self._loading_since = None
            self.stage_seconds[StageMessage.STAGE_LOADING_MODEL] += self._loaded_seconds
            self.forecast.finish(LOADING, self._loaded_seconds)


class Jobs:
    """The queue and the thread that works it off. Safe to use from any thread."""

    def __init__(
        self,
        sessions: Sessions,
        database: Database,
        changes: Changes,
        work_folder: Path,
        work_budget_bytes: int,
        worker_idle_seconds: float,
    ) -> None:
        self._sessions = sessions
        self._database = database
        self._changes = changes
        self._work_folder = work_folder
        self._work_budget_bytes = work_budget_bytes
        self._worker = Worker(worker_idle_seconds)
        self._speeds = Speeds(database)
        self._loaded: tuple[int | None, str] = (None, "")
        """The process of the worker that has loaded a model, and the kind of work that was."""
        self._condition = threading.Condition()
        self._watchers: Counter[str] = Counter()
        """Of previews, by session."""
        self._held: set[str] = set()
        """Sessions whose files are being deleted."""
        self._last_end = time.monotonic()
        self._closed = False
        self._entries = {
            job.id: _Entry(_queued(job, job.id, job.session_id), lasting=True)
            for job in database.jobs()
        }
        self._thread = threading.Thread(target=self._work_off, name="jobs", daemon=True)

    def start(self) -> None:
        """Goes on with what an earlier server left."""
        self._thread.start()

    def close(self) -> None:
        """Stops; what is queued or running goes on when the server is started again."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._worker.close()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def worker_process_id(self) -> int | None:
        return self._worker.process_id

    def ask(
        self, session: Session, frames: FrameRange, *, keys_only: bool, renew: bool = False
    ) -> Job:
        """Queues a job; the same one, while it is queued or running, is found again. `renew` paints
        key frames again that were painted against older ones.

        Raises what would make it fail at once, and BusyError when the queue is full.
        """
        wanted = Job(range=range_message(frames), keys_only=keys_only, renew=renew)
        self._check(session, wanted)
        with self._condition:
            for entry in self._entries.values():
                if entry.renders(session, frames) and _order(entry.message) == wanted:
                    break
            else:
                entry = self._queue(session, wanted)
            entry.lasting = True
            self._database.save_job(entry.message)
            return _shown(entry)

    @contextmanager
    def joined(self, session: Session, frames: FrameRange) -> Iterator[str]:
        """The id of a job that makes those frames, for a call that waits for it.

        A job that nobody else asked for is cancelled with the end of the block.
        """
        with self._condition:
            for entry in self._entries.values():
                if not entry.message.keys_only and entry.renders(session, frames):
                    break
            else:
                entry = self._queue(session, Job(range=range_message(frames)))
            entry.waiting_calls += 1
        try:
            yield entry.message.id
        finally:
            with self._condition:
                entry.waiting_calls -= 1
                abandoned = not entry.lasting and entry.waiting_calls == 0
            if abandoned and entry.active:
                self.cancel(entry.message.id)

    @contextmanager
    def previews(self, session_id: str) -> Iterator[None]:
        """Previews of this session's key frames are made until the end of the block."""
        self._count_watcher(session_id, 1)
        try:
            yield
        finally:
            self._count_watcher(session_id, -1)

    def preview(self, session_id: str) -> PreviewMessage | None:
        """The newest one of a key frame that is being painted."""
        with self._condition:
            entry = self._running()
            if entry is None or entry.message.session_id != session_id:
                return None
            return entry.preview

    def cancel(self, job_id: str) -> Job:
        """Ends a job; one that has ended stays as it is. Raises NotFoundError."""
        with self._condition:
            entry = self._entry(job_id)
            if entry.message.state == JobState.JOB_STATE_QUEUED:
                self._end(entry, JobState.JOB_STATE_CANCELLED)
            elif entry.active and not entry.cancelled:
                entry.cancelled = True
                self._worker.cancel()
            return _shown(entry)

    def get(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        with self._condition:
            return _shown(self._entry(job_id))

    def check_outcome(self, job_id: str) -> None:
        """Raises what ended the job, if something did."""
        with self._condition:
            entry = self._entry(job_id)
            if entry.message.state == JobState.JOB_STATE_CANCELLED:
                raise CancelledError("The render was cancelled; what was finished is kept.")
            if entry.error is not None:
                raise entry.error

    def of_session(self, session_id: str) -> list[Job]:
        """Jobs queued or running, and the last that ended, in the order of their asking."""
        with self._condition:
            return [
                _shown(entry)
                for entry in self._entries.values()
                if entry.message.session_id == session_id
            ]

    @property
    def active(self) -> int:
        """How many are queued or running."""
        with self._condition:
            return sum(entry.active for entry in self._entries.values())

    def rested_since(self) -> float | None:
        """The monotonic time at which the last job ended; None while there is one."""
        with self._condition:
            active = any(entry.active for entry in self._entries.values())
            return None if active else self._last_end

    @contextmanager
    def held(self, session_id: str) -> Iterator[None]:
        """No job of the session runs until the end of the block.

        Raises NotPossibleNowError while one is queued or running.
        """
        with self._condition:
            if session_id in self._held or any(
                entry.active and entry.message.session_id == session_id
                for entry in self._entries.values()
            ):
                raise NotPossibleNowError(
                    f"Session {session_id} is being rendered: wait for its end, or cancel it in "
                    "the panel or where it was started."
                )
            self._held.add(session_id)
        try:
            yield
        finally:
            with self._condition:
                self._held.discard(session_id)
                self._condition.notify_all()

    def making(self, session: Session, frames: FrameRange) -> Job | None:
        """A job that is to make those frames."""
        with self._condition:
            for entry in self._entries.values():
                if not entry.message.keys_only and entry.renders(session, frames):
                    return _shown(entry)
        return None

    def foretold(self, session: Session, frames: FrameRange, steps: Sequence[Step]) -> Outlook:
        """How long a job of those steps would take on this machine."""
        if not steps:
            return Outlook(fraction=0.0, seconds_left=0.0, is_rough=False)
        pieces = self._pieces(session, steps, session.unexamined(frames))
        return foretold(self._speeds, pieces.values())

    def _count_watcher(self, session_id: str, change: int) -> None:
        with self._condition:
            self._watchers[session_id] += change
            self._watchers = +self._watchers
            self._watch_running()

    # The queue; all of these are called with the lock held.

    def _entry(self, job_id: str) -> _Entry:
        if job_id not in self._entries:
            raise NotFoundError(f'There is no job "{job_id}": it ended long ago or never was.')
        return self._entries[job_id]

    def _running(self) -> _Entry | None:
        running = (
            entry
            for entry in self._entries.values()
            if entry.message.state == JobState.JOB_STATE_RUNNING
        )
        return next(running, None)

    def _watch_running(self) -> None:
        """Has previews made of the job that runs if somebody looks at it."""
        entry = self._running()
        if entry is not None:
            self._worker.watch(previews=self._watchers[entry.message.session_id] > 0)

    def _queue(self, session: Session, wanted: Job) -> _Entry:
        queued = [entry for entry in self._entries.values() if entry.active]
        if len(queued) >= LONGEST_QUEUE:
            raise BusyError(f"{len(queued)} jobs are waiting: cancel some, or wait for their end.")
        message = _queued(wanted, secrets.token_hex(8), session.id)
        entry = self._entries[message.id] = _Entry(message, lasting=False)
        self._forget_oldest()
        self._condition.notify_all()
        self._changes.tell(session.id, Topic.JOBS)
        return entry

    def _forget_oldest(self) -> None:
        ended = [job_id for job_id, entry in self._entries.items() if not entry.active]
        for job_id in ended[:-REMEMBERED_JOBS]:
            del self._entries[job_id]

    def _end(self, entry: _Entry, state: JobState.ValueType) -> None:
        _shown(entry)  # for the last time
        entry.work = None
        entry.message.state = state
        self._last_end = time.monotonic()
        entry.message.seconds_left, entry.message.rough = 0, False
        entry.preview = None
        if state == JobState.JOB_STATE_DONE:
            entry.message.fraction = 1
        self._database.forget_job(entry.message.id)
        self._changes.tell(entry.message.session_id, Topic.JOBS, Topic.FRAMES)

    # The thread that works.

    def _work_off(self) -> None:
        while (entry := self._next()) is not None:
            self._run(entry)

    def _next(self) -> _Entry | None:
        with self._condition:
            while not self._closed:
                for entry in self._entries.values():
                    held = entry.message.session_id in self._held
                    if entry.message.state == JobState.JOB_STATE_QUEUED and not held:
                        entry.message.state = JobState.JOB_STATE_RUNNING
                        entry.message.stage = StageMessage.STAGE_STARTING
                        self._watch_running()
                        self._changes.tell(entry.message.session_id, Topic.JOBS, Topic.FRAMES)
                        return entry
                self._condition.wait()
        return None

    def _run(self, entry: _Entry) -> None:
        state, error = JobState.JOB_STATE_DONE, None
        try:
            self._render(entry)
        except CancelledError:
            state = JobState.JOB_STATE_CANCELLED
        except InbetweenError as problem:
            state, error = JobState.JOB_STATE_FAILED, problem
        except Exception as problem:  # noqa: BLE001 - the edge: it costs this job only
            state, error = JobState.JOB_STATE_FAILED, unexpected(problem, "rendering")
        with self._condition:
            if self._closed:
                return  # Interrupted, not ended: it goes on with the next server.
            entry.error = error
            entry.message.error = str(error or "")
            self._end(entry, state)

    def _render(self, entry: _Entry) -> None:
        session = self._sessions.get(entry.message.session_id)
        frames = frame_range_of(entry.message.range)
        work = _Work(Forecast(self._speeds, time.monotonic()))
        session.refresh_media()
        if unexamined := session.unexamined(frames):
            # What is planned before the cuts are known is near enough to tell how long it takes.
            self._foresee(entry, work, session, unexamined)
            self._find_cuts(entry, work, session, unexamined)
        state, plan, delivered = self._foresee(entry, work, session, ())
        entry.revision = state.revision
        self._changes.tell(session.id, Topic.FRAMES)
        task = Render(session.worker_source(), plan, state.settings, session.folder, delivered)
        try:
            with closing(self._task(entry, task)) as stream:
                for news in stream:
                    self._hear(entry, work, session, news)
        finally:
            for kind, pace in work.forecast.measured_paces():
                self._speeds.learn(kind, pace)
            self._tidy_up(plan)
            session.write_description()

    def _foresee(
        self, entry: _Entry, work: _Work, session: Session, unexamined: Sequence[int]
    ) -> tuple[SessionState, Plan, Mapping[int, Address]]:
        """Plans, and foretells how long that takes."""
        state, inputs = session.snapshot()
        plan = self._plan(session, inputs, entry.message)
        delivered = {index: frame.address for index, frame in session.sequence.items()}
        plan, finished = without_delivered(plan, delivered)
        to_do = [step for step in plan.steps if not session.folder.has(step.address)]
        pieces = self._pieces(session, to_do, unexamined)
        with self._condition:
            work.plan(to_do, finished, pieces)
            work.start(time.monotonic())
            entry.work = work
        return state, plan, delivered

    def _pieces(
        self, session: Session, steps: Sequence[Step], unexamined: Sequence[int]
    ) -> Mapping[str, Piece]:
        """All that a job of those steps is about to do."""
        state, machine = session.state, this_machine()
        size, process = state.clip.size, self._worker.process_id
        pieces: dict[str, Piece] = {}
        if process is None:
            pieces[STARTING] = starting()
        if unexamined:
            pieces[CUTS] = finding_cuts(len(unexamined), size)
        painting = next((step for step in steps if isinstance(step, Paint)), None)
        model = loading(painting.settings, machine) if painting else None
        if model is not None and self._loaded != (process, model.kind):
            pieces[LOADING] = model
        for step in steps:
            pieces[step.address] = piece_of(step, size, state.settings.propagation, machine)
        return pieces

    def _find_cuts(
        self, entry: _Entry, work: _Work, session: Session, indices: Sequence[int]
    ) -> None:
        task = FindCuts(session.worker_source(), tuple(indices))
        with closing(self._task(entry, task)) as stream:
            for news in stream:
                if isinstance(news, CutsFound):
                    with self._condition:
                        work.found_cuts(time.monotonic())
                    session.found_cuts(indices, news.cuts)
                else:
                    self._hear(entry, work, session, news)

    def _task(self, entry: _Entry, task: FindCuts | Render) -> Generator[News]:
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

    def _check(self, session: Session, wanted: Job) -> None:
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

    def _hear(self, entry: _Entry, work: _Work, session: Session, news: News) -> None:
        if isinstance(news, Preview):
            self._show(entry, session, news)
            return
        if isinstance(news, Delivered):
            session.accept(news.index, news.frame)
        elif isinstance(news, StepDone) and isinstance(news.step, Paint):
            session.add_take(news.step)
            if not news.reused and (model := loading(news.step.settings, this_machine())):
                self._loaded = self._worker.process_id, model.kind
        with self._condition:
            self._note(entry, work, news)
        self._changes.tell(session.id, Topic.JOBS)

    def _show(self, entry: _Entry, session: Session, news: Preview) -> None:
        with self._condition:
            entry.preview = PreviewMessage(
                job_id=entry.message.id, frame=news.frame, picture=news.picture
            )
        self._changes.tell(session.id, Topic.PREVIEWS)

    def _note(self, entry: _Entry, work: _Work, news: News) -> None:
        message = entry.message
        match news:
            case Progress():
                message.stage = STAGES[news.stage]
                message.frame, message.step, message.steps = news.frame, news.step, news.steps
                work.note(news, time.monotonic())
                message.number = work.begun[news.stage]
            case StepDone():
                work.finish(news.step, news.seconds, reused=news.reused)
                entry.preview = None
            case Notice() if news.text not in message.notices:  # each key frame may say the same
                message.notices.append(news.text)
            case _:
                pass

    def _tidy_up(self, plan: Plan) -> None:
        keep = {step.address for step in plan.steps}
        evict(self._work_folder, self._work_budget_bytes, keep)
        sweep(self._work_folder)


def _shown(entry: _Entry) -> Job:
    """The job as it stands now: time goes by also where the worker tells nothing."""
    message, work = entry.message, entry.work
    if work is not None:
        outlook = work.forecast.outlook(time.monotonic())
        message.fraction = outlook.fraction
        message.seconds_left, message.rough = outlook.seconds_left, outlook.is_rough
        for cost, steps in (
            (message.to_do, work.to_do),
            (message.done, work.done),
            (message.reused, work.reused),
        ):
            cost.CopyFrom(cost_message(steps))
        del message.stage_seconds[:]
        message.stage_seconds.extend(
            StageSeconds(stage=stage, seconds=seconds)
            for stage, seconds in sorted(work.stage_seconds.items())
        )
    return _copy(message)


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


def _order(job: Job) -> Job:
    """What was asked for."""
    return Job(range=job.range, keys_only=job.keys_only, renew=job.renew)


def _queued(job: Job, job_id: str, session_id: str) -> Job:
    """What was asked for, now or of an earlier server, to be done."""
    message = _order(job)
    message.id, message.session_id = job_id, session_id
    message.state, message.stage = JobState.JOB_STATE_QUEUED, StageMessage.STAGE_QUEUED
    return message


def _copy(job: Job) -> Job:
    copy = Job()
    copy.CopyFrom(job)
    return copy
