"""A plan carried out: key frames are painted, carried to the frames between them, and blended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Protocol

from engine.errors import InvalidValueError, StorageError
from engine.media.color import from_painting_space, to_painting_space
from engine.media.source import FrameSource
from engine.motion.flow import FlowEstimator
from engine.motion.warp import warp
from engine.native.synthesis import SynthesisParameters, synthesize
from engine.plan import Address, Blend, Interval, Paint, Plan, Propagate
from engine.propagation.blend import Side, choose, evidence, mix
from engine.propagation.carry import FlowChain, positions
from engine.propagation.guides import Guides, frame_guides, guide_weights, key_frame_guides
from engine.report import Report, Stage
from engine.settings import PropagationSettings, RenderSettings
from engine.translation.painter import PaintRequest
from engine.translation.painters import painter_named
from engine.types import FloatArray, Flow, Frame, Precision


@dataclass(frozen=True)
class StoredPicture:
    """A picture of the plan: a take, a propagation or a blend."""

    pixels: FloatArray
    """[H, W, 3], painting space."""
    patch_error: FloatArray | None = None
    """[H, W], of a propagation."""


class RenderStore(Protocol):
    """Keeps pictures by their address, and the finished sequence."""

    def has(self, address: Address) -> bool: ...

    def load(self, address: Address) -> StoredPicture:
        """What was saved, in the precision it was saved in; NotFoundError for what was not."""

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None: ...

    def delivered(self, index: int) -> Address | None:
        """What the finished sequence holds at that frame."""

    def deliver(self, frame: Frame, address: Address) -> None:
        """Puts a finished frame into the sequence."""


def execute(
    plan: Plan,
    source: FrameSource,
    settings: RenderSettings,
    store: RenderStore,
    report: Report,
    flow: FlowEstimator,
) -> None:
    """Does every step of the plan that the store does not hold, and delivers its pictures.

    Each step is saved before the next begins and goes on as it was saved, so a render that was
    ended in the middle goes on with the same bits. What is kept in memory does not depend on the
    length of the clip.
    """
    work = _Work(plan, _Footage(source, flow), settings.propagation, store, report)
    for paint in plan.paints:
        work.paint(paint)
    work.deliver_chosen_takes()
    for interval in plan.intervals:
        work.fill(interval)


class _Footage:
    """The source as the method sees it, with the last few frames and flows at hand."""

    def __init__(self, source: FrameSource, estimator: FlowEstimator) -> None:
        self.frame: Callable[[int], Frame] = lru_cache(maxsize=3)(source.read)
        self.rgb: Callable[[int], FloatArray] = lru_cache(maxsize=3)(
            lambda index: to_painting_space(self.frame(index))
        )
        self.flow: Callable[[int, int], Flow] = lru_cache(maxsize=2)(
            lambda first, second: estimator.estimate(self.rgb(first), self.rgb(second))
        )


class _Work:
    """The steps of one plan."""

    def __init__(
        self,
        plan: Plan,
        footage: _Footage,
        settings: PropagationSettings,
        store: RenderStore,
        report: Report,
    ) -> None:
        self._plan = plan
        self._footage = footage
        self._settings = settings
        self._store = store
        self._report = report

    def paint(self, step: Paint) -> None:
        """Paints a key frame (section 4.1)."""
        self._do(step, Stage.PAINTING, partial(self._painted, step))

    def fill(self, interval: Interval) -> None:
        """Makes the frames between two key frames (section 4.2)."""
        for chain in (interval.forward, interval.backward):
            propagation = _Propagation(chain, self._footage, self._settings, self._store)
            for step in chain:
                self._do(step, Stage.PROPAGATING, partial(propagation.make, step))
        blending = _Blending(interval.blends, self._footage, self._store)
        for blend in interval.blends:
            self._do(blend, Stage.BLENDING, partial(blending.make, blend))

    def deliver_chosen_takes(self) -> None:
        """Delivers what no step makes: takes that the editor chose."""
        for frame, address in self._plan.takes.items():
            self._deliver(frame, address)

    def _do(
        self, step: Paint | Propagate | Blend, stage: Stage, make: Callable[[], StoredPicture]
    ) -> None:
        self._report.check_cancelled()
        began = time.monotonic()
        reused = self._store.has(step.address)
        if not reused:
            self._report.progress(stage, step.frame)
            precision = self._footage.frame(step.frame).precision
            self._store.save(step.address, make(), precision)
        self._deliver(step.frame, step.address)
        self._report.done(step, time.monotonic() - began, reused=reused)

    def _deliver(self, frame: int, address: Address) -> None:
        """Puts the picture into the sequence if it is the finished one of its frame."""
        if self._plan.pictures.get(frame) != address or self._store.delivered(frame) == address:
            return
        pixels = self._store.load(address).pixels
        self._store.deliver(from_painting_space(pixels, self._footage.frame(frame)), address)

    def _painted(self, step: Paint) -> StoredPicture:
        request = PaintRequest(
            step.frame,
            self._footage.rgb(step.frame),
            step.settings,
            tuple(self._store.load(address).pixels for address in step.references),
        )
        painter = painter_named(step.settings.painter)
        return StoredPicture(painter.paint(request, self._report))


class _Propagation:
    """One key frame's take, carried to the frames at one side of it (section 4.2.1)."""

    def __init__(
        self,
        steps: Sequence[Propagate],
        footage: _Footage,
        settings: PropagationSettings,
        store: RenderStore,
    ) -> None:
        self._steps = steps
        self._footage = footage
        self._settings = settings
        self._store = store

    def make(self, step: Propagate) -> StoredPicture:
        to_key = self._flows.to_key(step.frame)
        made = synthesize(
            self._take,
            self._key_frame_guides,
            frame_guides(
                self._footage.rgb(step.frame),
                to_key,
                self._store.load(step.previous).pixels,
                self._footage.flow(step.frame, step.frame - step.direction.value),
            ),
            guide_weights(self._settings),
            positions(to_key),
            SynthesisParameters(
                patch_size=self._settings.patch_size,
                uniformity=self._settings.uniformity,
                search_vote_iterations=self._settings.search_vote_iterations,
            ),
        )
        return StoredPicture(made.picture, made.field.patch_error)

    @cached_property
    def _flows(self) -> FlowChain:
        """Recomputed from the key frame on where a render goes on in the middle."""
        return FlowChain(self._steps[0].key_frame, self._steps[0].direction, self._footage.flow)

    @cached_property
    def _take(self) -> FloatArray:
        take = self._store.load(self._steps[0].take).pixels
        key_frame = self._steps[0].key_frame
        wanted = self._footage.rgb(key_frame).shape
        if take.shape != wanted:
            raise InvalidValueError(
                f"The take of key frame {key_frame} is {take.shape[1]}x{take.shape[0]} and the "
                f"clip {wanted[1]}x{wanted[0]}: import or paint it again in the size of the clip."
            )
        return take

    @cached_property
    def _key_frame_guides(self) -> Guides:
        return key_frame_guides(self._footage.rgb(self._steps[0].key_frame), self._take)


class _Blending:
    """The blends of one interval (section 4.2.2)."""

    def __init__(self, steps: Sequence[Blend], footage: _Footage, store: RenderStore) -> None:
        self._steps = iter(steps)
        self._footage = footage
        self._store = store
        self._choice: FloatArray | None = None

    def make(self, step: Blend) -> StoredPicture:
        """Makes `step`, which comes after the one made before it.

        The choice is not stored: where a render goes on in the middle of an interval, it is found
        again from the stored errors.
        """
        while (passed := next(self._steps)) != step:
            self._decide(passed)
        left, right, for_right, choice = self._decide(step)
        return StoredPicture(mix(left, right, for_right, choice))

    def _decide(self, step: Blend) -> tuple[Side, Side, FloatArray, FloatArray]:
        left, right = self._side(step.left), self._side(step.right)
        for_right = evidence(left, right)
        choice = choose(for_right, self._carried(step.frame))
        self._choice = choice
        return left, right, for_right, choice

    def _carried(self, frame: int) -> FloatArray | None:
        if self._choice is None:
            return None
        return warp(self._choice, self._footage.flow(frame, frame - 1))

    def _side(self, step: Propagate) -> Side:
        stored = self._store.load(step.address)
        if stored.patch_error is None:
            raise StorageError(
                f"The picture carried to frame {step.frame} was stored without its errors: "
                "delete the stored results of this session and render again."
            )
        return Side(stored.pixels, stored.patch_error, abs(step.frame - step.key_frame))
