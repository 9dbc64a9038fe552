"""Whether anybody uses the server, which ends by itself once nobody has for a while."""

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from server.errors import Handler, with_behaviour

LONGEST_SLEEP_SECONDS = 3600.0
SHORTEST_SLEEP_SECONDS = 0.02


class Use(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Counts the calls in flight; once there was none for too long, its door closes for good.

    Every call is a use, a health check too: a client that found the server healthy has all of the
    idle time for its next call. Whoever comes to the closed door is refused before anything was
    done for it, and starts another server, which waits for the end of this one.
    """

    def __init__(
        self, rested_since: Callable[[], float | None], idle_seconds: float | None
    ) -> None:
        """`rested_since` tells when the last job ended, None while there is one. Without idle
        seconds the door stays open.
        """
        self._rested_since = rested_since
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._calls = 0
        self._last_call = time.monotonic()
        self._closed = False

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Handler | None"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        handler = continuation(handler_call_details)
        return None if handler is None else with_behaviour(handler, self._counted)

    def seconds_left(self) -> float | None:
        """Until nobody has used the server for too long; None while somebody does, and for ever
        where the door stays open.
        """
        with self._lock:
            return self._seconds_left()

    def close_door(self) -> bool:
        """Closes the door if the idle time is over; whether it is closed."""
        with self._lock:
            # No job can begin in between: jobs are asked for by calls, and those wait here.
            self._closed = self._closed or self._seconds_left() == 0
            return self._closed

    def sleep_seconds(self) -> float:
        """For so long it is not worth looking again."""
        left = self.seconds_left()
        sleep = self._idle_seconds if left is None else left
        longest = LONGEST_SLEEP_SECONDS
        return max(SHORTEST_SLEEP_SECONDS, longest if sleep is None else min(sleep, longest))

    def _seconds_left(self) -> float | None:
        rested = self._rested_since()
        if self._idle_seconds is None or self._calls or rested is None:
            return None
        return max(0.0, max(rested, self._last_call) + self._idle_seconds - time.monotonic())

    def _counted(self, behaviour: Any) -> Callable[[Any, grpc.ServicerContext], Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            self._begin(context)
            return behaviour(request, context)

        return call

    def _begin(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            closed = self._closed
            self._calls += not closed
        if closed:
            context.abort(grpc.StatusCode.UNAVAILABLE, "The render server is ending: call again.")
        if not context.add_callback(self._end):
            self._end()  # It was cancelled before it began.

    def _end(self) -> None:
        with self._lock:
            self._calls -= 1
            self._last_call = time.monotonic()
