"""The paintings and the finished frames of a session, as the books tell of them."""

import threading
import time
from collections.abc import Mapping

from engine.plan import Address, Paint
from engine.types import Drift
from server.database import Database
from server.records import DeliveredFrame, TakeRecord
from server.session_folder import SessionFolder


class Results:
    """Takes are kept for ever, a finished frame until another one takes its place."""

    def __init__(
        self, session_id: str, folder: SessionFolder, database: Database, lock: threading.RLock
    ) -> None:
        """`lock` is the session's."""
        self._session_id = session_id
        self._folder = folder
        self._database = database
        self._lock = lock
        self._takes = {take.address: take for take in database.takes(session_id)}
        self._sequence = database.sequence(session_id)

    @property
    def takes(self) -> tuple[TakeRecord, ...]:
        """In the order of their making."""
        with self._lock:
            return tuple(self._takes.values())

    @property
    def sequence(self) -> Mapping[int, DeliveredFrame]:
        """What the finished sequence holds."""
        with self._lock:
            return dict(self._sequence)

    def take(self, address: Address | None) -> TakeRecord | None:
        """The take of that address, if there is one."""
        return self._takes.get(address) if address else None

    def add(self, take: TakeRecord) -> bool:
        """Enters a take, once; whether it is a new one."""
        with self._lock:
            if take.address in self._takes:
                return False
            self._database.add_take(self._session_id, take)
            self._takes[take.address] = take
            return True

    def has(self, index: int, address: Address | None) -> bool:
        """Whether the sequence holds that picture."""
        delivered = self._sequence.get(index)
        return delivered is not None and delivered.address == address

    def accept(self, index: int, delivered: DeliveredFrame) -> None:
        """Puts a finished frame into the sequence."""
        with self._lock:
            # The books never tell of a picture that is not there: killed in between, the frame is
            # delivered again.
            self._database.forget_delivered(self._session_id, index)
            self._folder.accept(index)
            self._database.save_delivered(self._session_id, index, delivered)
            self._sequence[index] = delivered


def painted_take(paint: Paint, drift: Drift | None) -> TakeRecord:
    """The take that a step has made."""
    settings = paint.settings
    return TakeRecord(
        address=paint.address,
        frame=paint.frame,
        recipe=paint.recipe,
        painter=settings.painter,
        prompt=settings.prompt,
        seed=settings.seed,
        strength=settings.strength,
        painted_against=paint.painted_against,
        made_at=int(time.time()),
        drift=drift,
    )


def imported_take(index: int, address: Address) -> TakeRecord:
    """The take that is a picture painted by hand."""
    return TakeRecord(
        address=address,
        frame=index,
        recipe=address,
        painter="painted",
        prompt="",
        seed=0,
        strength=1.0,
        painted_against=(),
        made_at=int(time.time()),
        imported=True,
    )
