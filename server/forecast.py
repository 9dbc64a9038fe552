"""How far work has come and how long it goes on, foretold and put right while it goes on.

Times are seconds of one clock, which the caller reads.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from server.effort import CUTS, Piece, sort_of
from server.speeds import COMPUTING, Speeds

_ROUGH_SHARE = 0.25
"""Of the time left, may be of kinds that were never measured before it counts as rough."""


@dataclass(frozen=True)
class Trust:
    """For how long what was foretold of a sort of work outweighs what is measured."""

    share: float
    """Of all the time foretold for that sort."""
    most_seconds: float

    def seconds(self, foretold: float) -> float:
        return min(self.share * foretold, self.most_seconds)


LEARNT = Trust(share=0.25, most_seconds=60)
FROM_THE_TABLE = Trust(share=0.1, most_seconds=20)


class Course:
    """A bar that moves with time and never goes back.

    It shows the time that has gone of all the time there is. Where more turns out to be left than
    was thought, it goes on at half of its pace until that is true again.
    """

    def __init__(self, now: float) -> None:
        self.fraction = 0.0
        self._began = self._seen = now

    def move(self, now: float, seconds_left: float) -> float:
        """The fraction, now that so much time is thought to be left."""
        gone, since = now - self._began, now - self._seen
        self._seen = now
        if since > 0:
            slow = (1 - self.fraction) * since / (since + seconds_left) / 2
            true = gone / (gone + seconds_left)
            self.fraction = min(1.0, max(self.fraction + slow, true))
        return self.fraction


@dataclass(frozen=True)
class Outlook:
    """What can be said of a job now."""

    fraction: float
    """Of its time, from 0 to 1."""
    seconds_left: float
    is_rough: bool


@dataclass
class _Current:
    """The piece that is being done, as far as is told of it."""

    key: str
    piece: Piece
    began: float
    share: float
    next_share: float
    told: float
    """When it had come to `share`."""
    pace: float = 1.0
    """As it was thought to be then."""

    def seconds_done(self, now: float) -> float:
        """By the table: what was told, and as much of what comes next as the time since allows."""
        coming = (self.next_share - self.share) * self.piece.seconds
        return self.share * self.piece.seconds + min(coming, (now - self.told) / self.pace)


class Forecast:
    """A job's pieces of work. What is measured of a sort corrects what is foretold of its rest."""

    def __init__(self, speeds: Speeds, now: float) -> None:
        self._speeds = speeds
        self._course = Course(now)
        self._to_do: dict[str, Piece] = {}
        self._current: _Current | None = None
        # By kind, in seconds of the table but for the measured ones:
        self._left: defaultdict[str, float] = defaultdict(float)
        self._done: defaultdict[str, float] = defaultdict(float)
        self._measured: defaultdict[str, float] = defaultdict(float)
        self._on_their_way: defaultdict[str, float] = defaultdict(float)
        """What was made and is still to be saved, of pieces that are not told apart."""
        self._paces: dict[str, float] = {}
        self._unknown: set[str] = set()
        self._trusted: dict[str, float] = {}
        """By sort, the seconds after which half of what is said of it is measured."""

    def plan(self, to_do: Mapping[str, Piece]) -> None:
        """All that is to be done from now on, each piece under a key of its own."""
        self._to_do = dict(to_do)
        self._left.clear()
        for piece in self._to_do.values():
            self._left[piece.kind] += piece.seconds
        foretold: defaultdict[str, float] = defaultdict(float)
        for kind, seconds in self._left.items():
            if not self._speeds.knows(kind):
                self._unknown.add(kind)
            pace = self._paces.setdefault(kind, self._speeds.pace(kind))
            foretold[sort_of(kind)] += seconds * pace
        for sort, seconds in foretold.items():
            trust = FROM_THE_TABLE if sort in map(sort_of, self._unknown) else LEARNT
            self._trusted[sort] = trust.seconds(seconds)

    def begin(self, key: str, now: float, step: int = 0, steps: int = 0) -> None:
        """The piece of that key is at a step, the first of which is 1; 0: before the first one."""
        if key not in self._to_do:
            return
        current, piece = self._current, self._to_do[key]
        began = now
        if current is not None and current.key == key:
            began = current.began
        else:
            self._pass_current(piece, now)
        steps = steps or len(piece.parts) - 1  # as many as are foretold, until it is told
        share = piece.share(step, steps)
        next_share = piece.share(step + 1, steps) if step < steps else 1.0
        self._current = _Current(key, piece, began, share, next_share, now)
        self._current.pace = self._pace(piece.kind, now)

    def begin_one(self, piece: Piece, now: float) -> None:
        """One of several pieces like this one begins; which it is does not matter."""
        self._pass_current(piece, now)
        if self._current is not None and not self._current.key:
            self._on_their_way[self._current.piece.kind] += self._current.piece.seconds
        self._current = _Current("", piece, now, 0.0, 1.0, now, self._pace(piece.kind, now))

    def finish(self, key: str, seconds: float | None) -> None:
        """A piece is done; None: its time tells nothing of others."""
        if self._current is not None and self._current.key == key:
            self._current = None
        if key in self._to_do:
            self._remove(key, seconds)

    def outlook(self, now: float) -> Outlook:
        """What is to be said now."""
        left = {
            kind: max(0.0, seconds - self._on_their_way[kind]) * self._pace(kind, now)
            for kind, seconds in self._left.items()
        }
        current = self._current
        if current is not None and current.piece.kind in left:
            done = current.seconds_done(now) * self._pace(current.piece.kind, now)
            left[current.piece.kind] = max(0.0, left[current.piece.kind] - done)
        seconds_left = sum(left.values())
        rough = sum(seconds for kind, seconds in left.items() if self._is_rough(kind, now))
        # What is planned before the cuts are known may change with them.
        awaits_cuts = any(self._left[kind] > 0 for kind in left if sort_of(kind) == CUTS)
        return Outlook(
            fraction=self._course.move(now, seconds_left),
            seconds_left=seconds_left,
            is_rough=awaits_cuts or rough > _ROUGH_SHARE * seconds_left,
        )

    def measured_paces(self) -> Iterator[tuple[str, float]]:
        """Kinds of work that were done, with their seconds over those of the table."""
        for kind, seconds in self._done.items():
            if seconds > 0:
                yield kind, self._measured[kind] / seconds

    def seconds_at(self, key: str, now: float) -> float | None:
        """For how long the piece of that key has been done; None where it is not."""
        current = self._current
        return now - current.began if current is not None and current.key == key else None

    def _pass_current(self, following: Piece, now: float) -> None:
        """What was being done is done when the next step begins, though it may be told later: it is
        saved meanwhile. Only the loading of a model comes in between.
        """
        current = self._current
        if current is not None and current.key in self._to_do and following.sort in COMPUTING:
            self._remove(current.key, now - current.began)

    def _remove(self, key: str, seconds: float | None) -> None:
        piece = self._to_do.pop(key)
        self._left[piece.kind] = max(0.0, self._left[piece.kind] - piece.seconds)
        if seconds is not None:
            on_their_way = self._on_their_way[piece.kind] - piece.seconds
            self._on_their_way[piece.kind] = max(0.0, on_their_way)
            self._done[piece.kind] += piece.seconds
            self._measured[piece.kind] += seconds

    def _pace(self, kind: str, now: float) -> float:
        """As foretold, corrected by what was measured of its sort, or else of others."""
        sort = sort_of(kind)
        correction = 1.0
        if kind in self._unknown and sort in COMPUTING:
            correction = self._correction(COMPUTING, 1.0, now)
        return self._paces[kind] * self._correction([sort], correction, now)

    def _correction(self, sorts: Collection[str], otherwise: float, now: float) -> float:
        """What was measured of those sorts over what was foretold of it."""
        trusted = sum(self._trusted.get(sort, 0.0) for sort in sorts)
        foretold, measured = self._evidence(sorts, now)
        if trusted + foretold <= 0:
            return otherwise
        return (trusted * otherwise + measured) / (trusted + foretold)

    def _evidence(self, sorts: Collection[str], now: float) -> tuple[float, float]:
        """Seconds foretold of what is done, and those that it took."""
        kinds = [kind for kind in self._done if sort_of(kind) in sorts]
        foretold = sum(self._done[kind] * self._paces[kind] for kind in kinds)
        measured = sum(self._measured[kind] for kind in kinds)
        current = self._current
        if current is not None and current.key and current.piece.sort in sorts:
            foretold += current.seconds_done(now) * self._paces[current.piece.kind]
            measured += now - current.began
        return foretold, measured

    def _is_rough(self, kind: str, now: float) -> bool:
        """Never measured before, and not for long enough by now."""
        sort = sort_of(kind)
        return kind in self._unknown and self._evidence([sort], now)[0] < self._trusted[sort]


def foretold(speeds: Speeds, pieces: Iterable[Piece]) -> Outlook:
    """Of work that nobody does yet."""
    forecast = Forecast(speeds, 0.0)
    forecast.plan({str(number): piece for number, piece in enumerate(pieces)})
    return forecast.outlook(0.0)
