"""The gRPC client: calls in threads of its own, answers as signals in the window's thread.

Nothing here makes the window wait. Edits and jobs go out one after the other, in the order in which
the person made them, and wait while the server is gone.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import grpc
from inbetween.v1 import frame_pb2, render_pb2
from inbetween.v1 import session_pb2 as pb
from inbetween.v1.render_pb2_grpc import RenderServiceStub
from inbetween.v1.session_pb2_grpc import SessionServiceStub
from PySide6.QtCore import QObject, Qt, Signal, Slot

from panel.model.edits import CALL_SECONDS, Edit
from panel.model.session import Link

RETRY_SECONDS = 1.0
GONE_CODES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

Answer = TypeVar("Answer")
Task = Callable[[pb.Session], None]


class Connection(QObject):
    """One session of one server. All signals arrive in the thread that made this object."""

    link_changed = Signal(object, str)
    info_arrived = Signal(object)
    session_arrived = Signal(object)
    frames_arrived = Signal(object)
    job_arrived = Signal(object)
    preview_arrived = Signal(object)
    edit_made = Signal(int, object)
    """Number of the edit, revision of the session that contains it."""
    edit_refused = Signal(int, str)
    failed = Signal(str)
    """What went wrong with a call, in the server's words."""

    _posted = Signal(object)

    def __init__(self, socket: Path, session_id: str = "") -> None:
        super().__init__()
        self.socket = socket
        self.session_id = session_id
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=CHANNEL_OPTIONS)
        self.sessions = SessionServiceStub(self._channel)
        self.render = RenderServiceStub(self._channel)
        self._changed = threading.Condition()
        self._closed = False
        self._latest: pb.Session | None = None  # None while the server is gone
        self._tasks: deque[tuple[str, Task]] = deque()
        """Each with the session it is meant for: it is never done to another one."""
        self._calls = ThreadPoolExecutor(2, thread_name_prefix="panel-call")
        self._threads = [
            threading.Thread(
                target=self._until_closed, args=(loop,), name=f"panel{loop.__name__}", daemon=True
            )
            for loop in (self._watch_loop, self._send_loop)
        ]
        self._posted.connect(self._run_posted, Qt.ConnectionType.QueuedConnection)
        self._shown_id = ""
        """The session that the window shows, which its edits are meant for."""
        self.session_arrived.connect(self._show)

    def start(self) -> None:
        """Begins to look for the server."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends all calls and waits for the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._channel.close()
        self._calls.shutdown(wait=True, cancel_futures=True)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def send_edit(self, number: int, edit: Edit) -> None:
        """Makes the edit on the server, now or as soon as the server is there."""
        self._enqueue(partial(self._make_edit, number, edit))

    def start_job(self, first: int, last: int, *, keys_only: bool, renew: bool = False) -> None:
        """Starts a job after all edits made before have arrived. `renew` paints key frames again
        that were painted against older ones.
        """
        request = render_pb2.StartJobRequest(
            range=frame_pb2.FrameRange(first=first, last=last), keys_only=keys_only, renew=renew
        )
        self._enqueue(partial(self._start_job, request))

    def cancel_job(self, job_id: str) -> None:
        request = render_pb2.CancelJobRequest(job_id=job_id)
        self.call(
            lambda: self.render.CancelJob(request, timeout=CALL_SECONDS),
            lambda answer: self.job_arrived.emit(answer.job),
        )

    def estimate_cost(self, answered: Callable[[render_pb2.EstimateCostResponse], None]) -> None:
        """What a render of the whole clip would cost now."""
        request = render_pb2.EstimateCostRequest(session_id=self.session_id)
        self.call(lambda: self.render.EstimateCost(request, timeout=CALL_SECONDS), answered)

    def estimate_renewal(self, answered: Callable[[render_pb2.EstimateCostResponse], None]) -> None:
        """What it would cost to paint all key frames again that were painted against older ones."""
        request = render_pb2.EstimateCostRequest(
            session_id=self.session_id, keys_only=True, renew=True
        )
        self.call(lambda: self.render.EstimateCost(request, timeout=CALL_SECONDS), answered)

    def open_movie(self, path: Path) -> None:
        """Opens the session of a movie file."""
        request = pb.OpenSessionRequest(clip=pb.Clip(media_path=str(path.absolute())))
        self.call(lambda: self.sessions.OpenSession(request, timeout=CALL_SECONDS), self._opened)

    def call(self, function: Callable[[], Answer], answered: Callable[[Answer], None]) -> None:
        """Runs a call outside the window's thread and hands its answer to the window's thread."""
        if not self._closed:
            self._calls.submit(self._call, function, answered)

    def post(self, function: Callable[[], None]) -> None:
        """Runs `function` in the window's thread; to be called from any thread."""
        if not self._closed:
            self._posted.emit(function)

    # In the window's thread

    @Slot(object)
    def _run_posted(self, function: Callable[[], None]) -> None:
        function()

    @Slot(object)
    def _show(self, session: pb.Session) -> None:
        self._shown_id = session.id

    def _opened(self, answer: pb.OpenSessionResponse) -> None:
        with self._changed:
            self.session_id = answer.session.id
            self._changed.notify_all()

    def _enqueue(self, task: Task) -> None:
        with self._changed:
            self._tasks.append((self._shown_id, task))
            self._changed.notify_all()

    # In the threads

    def _call(self, function: Callable[[], Answer], answered: Callable[[Answer], None]) -> None:
        try:
            answer = function()
        except grpc.RpcError as error:
            if code_of(error) not in GONE_CODES:
                self.post(partial(self.failed.emit, sentence_of(error)))
        else:
            self.post(partial(answered, answer))

    def _until_closed(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except ValueError:  # what grpc raises for a call on a channel that was closed meanwhile
            if not self._closed:
                raise

    def _watch_loop(self) -> None:
        while not self._closed:
            session_id = self.session_id
            try:
                link, text = self._watch()
            except grpc.RpcError as error:
                link, text = self._link_after(error)
            with self._changed:
                self._latest = None
                self.post(partial(self.link_changed.emit, link, text))
                self._changed.wait_for(
                    partial(self._is_other_session, session_id),
                    timeout=RETRY_SECONDS,
                )

    def _is_other_session(self, session_id: str) -> bool:
        return self._closed or self.session_id != session_id

    def _watch(self) -> tuple[Link, str]:
        """Follows the session until the server ends the stream; how the panel stands then."""
        info = self.render.GetServerInfo(render_pb2.GetServerInfoRequest(), timeout=CALL_SECONDS)
        self.post(partial(self.info_arrived.emit, info))
        session_id = self.session_id or self._newest_session()
        if not session_id:
            return Link.NO_SESSION, ""
        self.session_id = session_id
        for event in self.sessions.Watch(pb.WatchRequest(session_id=session_id, previews=True)):
            self._take(event)
        return Link.GONE, self._where()

    def _take(self, event: pb.WatchResponse) -> None:
        match event.WhichOneof("event"):
            case "session":
                was_gone = self._latest is None
                self._know(event.session)
                if was_gone:
                    self.post(partial(self.link_changed.emit, Link.CONNECTED, ""))
                self.post(partial(self.session_arrived.emit, event.session))
            case "job":
                self.post(partial(self.job_arrived.emit, event.job))
            case "preview":
                self.post(partial(self.preview_arrived.emit, event.preview))
            case "frames":
                self.post(partial(self.frames_arrived.emit, event.frames.runs))

    def _newest_session(self) -> str:
        """The id of the session made last; empty where there is none."""
        answer = self.sessions.ListSessions(pb.ListSessionsRequest(), timeout=CALL_SECONDS)
        return answer.sessions[-1].id if answer.sessions else ""

    def _link_after(self, error: grpc.RpcError) -> tuple[Link, str]:
        if code_of(error) is grpc.StatusCode.NOT_FOUND:
            return Link.NO_SESSION, sentence_of(error)
        return Link.GONE, self._where()

    def _where(self) -> str:
        return f"{self.socket} · trying again every second"

    def _know(self, session: pb.Session) -> None:
        with self._changed:
            if self._latest is None or session.revision >= self._latest.revision:
                self._latest = session
            self._changed.notify_all()

    def _send_loop(self) -> None:
        """Sends the tasks in their order; one that meets no server waits for it and goes again."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._tasks and self._latest))
                if self._closed:
                    return
                (meant_for, task), session = self._tasks[0], self._latest
            assert session is not None  # noqa: S101 - waited for above
            try:
                if session.id == meant_for:  # otherwise its session was deleted meanwhile
                    task(session)
            except grpc.RpcError as error:
                if code_of(error) in GONE_CODES:
                    self._wait_for_the_watch(session)
                    continue
                self.post(partial(self.failed.emit, sentence_of(error)))
            with self._changed:
                self._tasks.popleft()

    def _wait_for_the_watch(self, session: pb.Session) -> None:
        """Gives the watch time to see that the server is gone, too."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._latest is not session, timeout=RETRY_SECONDS
            )

    def _make_edit(self, number: int, edit: Edit, session: pb.Session) -> None:
        if edit.is_done(session):
            self.post(partial(self.edit_made.emit, number, session.revision))
            return
        try:
            answer = edit.send(self.sessions, session)
        except grpc.RpcError as error:
            code = code_of(error)
            if code in GONE_CODES:
                raise
            if code is grpc.StatusCode.ABORTED:  # Somebody else was quicker.
                self._make_edit(number, edit, self._ask_session(session.id))
                return
            self.post(partial(self.edit_refused.emit, number, sentence_of(error)))
        else:
            self._know(answer)
            self.post(partial(self.edit_made.emit, number, answer.revision))

    def _ask_session(self, session_id: str) -> pb.Session:
        request = pb.GetSessionRequest(session_id=session_id)
        return self.sessions.GetSession(request, timeout=CALL_SECONDS).session

    def _start_job(self, request: render_pb2.StartJobRequest, session: pb.Session) -> None:
        request.session_id = session.id
        answer = self.render.StartJob(request, timeout=CALL_SECONDS)
        self.post(partial(self.job_arrived.emit, answer.job))


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def sentence_of(error: grpc.RpcError) -> str:
    """The server's sentence."""
    details = error.details() if isinstance(error, grpc.Call) else ""
    return details or "The render server failed without a word: see its log."
