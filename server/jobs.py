"""Work that was asked for: queued, done one job after the other, remembered over a restart."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inbetween.v1.session_pb2 import Job, JobState
from inbetween.v1.session_pb2 import Preview as PreviewMessage
from inbetween.v1.session_pb2 import Stage as StageMessage

from engine.errors import CancelledError, InbetweenError, NotFoundError
from engine.store import Step
from engine.types import FrameRange
from server.changes import Changes, Topic
from server.convert import range_message
from server.database import Database
from server.errors import BusyError, NotPossibleNowError, unexpected
from server.forecast import Outlook
from server.job_run import Entry, Rendering
from server.session import Session
from server.sessions import Sessions
from server.speeds import Speeds
from server.work.worker import Worker

LONGEST_QUEUE = 100
REMEMBERED_JOBS = 100


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
        self._database = database
        self._changes = changes
        self._worker = Worker(worker_idle_seconds)
        self._condition = threading.Condition()
        self._rendering = Rendering(
            sessions,
            changes,
            self._worker,
            Speeds(database),
            self._condition,
            work_folder,
            work_budget_bytes,
        )
        self._watchers: Counter[str] = Counter()
        """Of previews, by session."""
        self._held: set[str] = set()
        """Sessions whose files are being deleted."""
        self._last_end = time.monotonic()
        self._closed = False
        self._entries = {
            job.id: Entry(_queued(job, job.id, job.session_id), lasting=True)
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
        self._rendering.check(session, wanted)
        with self._condition:
            for entry in self._entries.values():
                if entry.renders(session, frames) and _order(entry.message) == wanted:
                    break
            else:
                entry = self._queue(session, wanted)
            entry.lasting = True
            self._database.save_job(entry.message)
            return entry.shown()

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
            return entry.shown()

    def get(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        with self._condition:
            return self._entry(job_id).shown()

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
                entry.shown()
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
                    return entry.shown()
        return None

    def foretold(self, session: Session, frames: FrameRange, steps: Sequence[Step]) -> Outlook:
        """How long a job of those steps would take on this machine."""
        return self._rendering.foretold(session, frames, steps)

    def _count_watcher(self, session_id: str, change: int) -> None:
        with self._condition:
            self._watchers[session_id] += change
            self._watchers = +self._watchers
            self._watch_running()

    # The queue; all of these are called with the lock held.

    def _entry(self, job_id: str) -> Entry:
        if job_id not in self._entries:
            raise NotFoundError(f'There is no job "{job_id}": it ended long ago or never was.')
        return self._entries[job_id]

    def _running(self) -> Entry | None:
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

    def _queue(self, session: Session, wanted: Job) -> Entry:
        queued = [entry for entry in self._entries.values() if entry.active]
        if len(queued) >= LONGEST_QUEUE:
            raise BusyError(f"{len(queued)} jobs are waiting: cancel some, or wait for their end.")
        message = _queued(wanted, secrets.token_hex(8), session.id)
        entry = self._entries[message.id] = Entry(message, lasting=False)
        self._forget_oldest()
        self._condition.notify_all()
        self._changes.tell(session.id, Topic.JOBS)
        return entry

    def _forget_oldest(self) -> None:
        ended = [job_id for job_id, entry in self._entries.items() if not entry.active]
        for job_id in ended[:-REMEMBERED_JOBS]:
            del self._entries[job_id]

    def _end(self, entry: Entry, state: JobState.ValueType) -> None:
        entry.shown()  # for the last time
        entry.accounts = None
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

    def _next(self) -> Entry | None:
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

    def _run(self, entry: Entry) -> None:
        state, error = JobState.JOB_STATE_DONE, None
        try:
            self._rendering.render(entry)
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


def _order(job: Job) -> Job:
    """What was asked for."""
    return Job(range=job.range, keys_only=job.keys_only, renew=job.renew)


def _queued(job: Job, job_id: str, session_id: str) -> Job:
    """What was asked for, now or of an earlier server, to be done."""
    message = _order(job)
    message.id, message.session_id = job_id, session_id
    message.state, message.stage = JobState.JOB_STATE_QUEUED, StageMessage.STAGE_QUEUED
    return message
