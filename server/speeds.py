"""How far this machine is from the table of `effort.py`, learnt from the work that was done."""

import threading
from collections.abc import Iterable
from math import exp, log

from server.database import Database
from server.effort import sort_of

NEWEST_SHARE = 0.5
"""Of the newest job in the running mean."""
COMPUTING = ("paint", "propagate", "blend")
"""Sorts of work that a quicker machine does quicker, all of them."""
_LEAST_PACE = 1e-3


class Speeds:
    """By kind of work its pace: its seconds over those of the table. Safe to use from any thread.

    A kind that was never measured is as far from the table as others of its sort are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._paces = database.paces()

    def learn(self, kind: str, pace: float) -> None:
        """Takes in what a job has measured of a kind."""
        pace = max(_LEAST_PACE, pace)
        with self._lock:
            known = self._paces.get(kind, pace)
            mean = (1 - NEWEST_SHARE) * known + NEWEST_SHARE * pace
            self._paces[kind] = mean
        self._database.save_pace(kind, mean)

    def knows(self, kind: str) -> bool:
        """Whether it was ever measured here."""
        with self._lock:
            return kind in self._paces

    def pace(self, kind: str) -> float:
        """What the seconds of the table are to be multiplied by."""
        with self._lock:
            if kind in self._paces:
                return self._paces[kind]
            sort = sort_of(kind)
            alike = self._paces_of([sort])
            if not alike and sort in COMPUTING:
                alike = self._paces_of(COMPUTING)
        return exp(sum(map(log, alike)) / len(alike)) if alike else 1.0

    def _paces_of(self, sorts: Iterable[str]) -> list[float]:
        return [pace for kind, pace in self._paces.items() if sort_of(kind) in sorts]
