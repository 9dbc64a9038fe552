"""What a job has to do, what of it is done, and how long the rest takes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from inbetween.v1.session_pb2 import Job, StageSeconds
from inbetween.v1.session_pb2 import Stage as StageMessage

from engine.plan import Blend, Paint, Propagate
from engine.report import Stage
from engine.store import Step
from server.effort import CUTS, Piece, finding_cuts, loading, piece_of, starting, this_machine
from server.forecast import Forecast
from server.planning import count
from server.state import SessionState
from server.views import cost_message
from server.work.tasks import Progress

STAGE_OF_STEP = {
    Paint: StageMessage.STAGE_PAINTING,
    Propagate: StageMessage.STAGE_PROPAGATING,
    Blend: StageMessage.STAGE_BLENDING,
}
SHORT_STEPS = {Propagate: Stage.PROPAGATING, Blend: Stage.BLENDING}
"""The worker does several of them at once, and tells of none how far it has come."""
STARTING, LOADING = "starting", "loading"
"""With CUTS keys of pieces of work that are no steps of a plan."""


class Accounts:
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

    def follow(self, progress: Progress, now: float) -> None:
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

    def write_into(self, job: Job, now: float) -> None:
        """Tells how far the job is: time goes by also where the worker tells nothing."""
        outlook = self.forecast.outlook(now)
        job.fraction = outlook.fraction
        job.seconds_left, job.rough = outlook.seconds_left, outlook.is_rough
        job.to_do.CopyFrom(cost_message(self.to_do))
        job.done.CopyFrom(cost_message(self.done))
        job.reused.CopyFrom(cost_message(self.reused))
        del job.stage_seconds[:]
        job.stage_seconds.extend(
            StageSeconds(stage=stage, seconds=seconds)
            for stage, seconds in sorted(self.stage_seconds.items())
        )

    def _started(self, now: float) -> None:
        if (seconds := self.forecast.seconds_at(STARTING, now)) is not None:
            self.forecast.finish(STARTING, seconds)

    def _loaded(self, now: float) -> None:
        if self._loading_since is not None:
            self._loaded_seconds = now - self._loading_since
            self._loading_since = None
            self.stage_seconds[StageMessage.STAGE_LOADING_MODEL] += self._loaded_seconds
            self.forecast.finish(LOADING, self._loaded_seconds)


def pieces_of(
    steps: Sequence[Step],
    state: SessionState,
    unexamined: Sequence[int],
    *,
    worker_runs: bool,
    loaded: str,
) -> Mapping[str, Piece]:
    """All that a job of those steps is about to do. `unexamined` are the frames in which cuts are
    looked for, `loaded` is the kind of work that the worker has loaded a model for.
    """
    size, machine = state.clip.size, this_machine()
    pieces: dict[str, Piece] = {}
    if not worker_runs:
        pieces[STARTING] = starting()
    if unexamined:
        pieces[CUTS] = finding_cuts(len(unexamined), size)
    painting = next((step for step in steps if isinstance(step, Paint)), None)
    model = loading(painting.settings, machine) if painting else None
    if model is not None and loaded != model.kind:
        pieces[LOADING] = model
    for step in steps:
        pieces[step.address] = piece_of(step, size, state.settings.propagation, machine)
    return pieces
