"""A plan carried out: key frames are painted, carried to the frames between them, and blended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest
from typing import Protocol

from engine.errors import InvalidValueError, StorageError
from engine.footage import Footage
from engine.media.color import from_painting_space
from engine.media.source import FrameSource
from engine.metrics import drift_from_anchor
from engine.motion.flow import FlowEstimator
from engine.motion.occlusion import occlusion_mask
from engine.native.kernels import DeviceArray, Kernels, Lanes, Side
from engine.plan import Address, Blend, Interval, Paint, Painted, Plan, Propagate
from engine.propagation.carry import Carrier
from engine.propagation.parameters import synthesis_parameters
from engine.report import Report, Stage
from engine.settings import MOVIE, PropagationSettings, RenderSettings, TranslationSettings
from engine.translation.painter import PaintRequest, Reference, Trajectory
from engine.translation.painters import painter_named
from engine.types import Drift, FloatArray, Frame, Precision

Step = Paint | Propagate | Blend


@dataclass(frozen=True)
class StoredPicture:
    """A picture of the plan: a take, a propagation or a blend."""

    pixels: FloatArray
    """[H, W, 3], painting space."""
    patch_error: FloatArray | None = None
    """[H, W], of a propagation."""
    drift: Drift | None = None
    """Of a take that was painted against an anchor."""


class RenderStore(Protocol):
    """Keeps pictures by their address, and the finished sequence."""

    def has(self, address: Address) -> bool: ...

    def load(self, address: Address) -> StoredPicture:
        """What was saved, in the precision it was saved in; NotFoundError for what was not."""

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None: ...

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        """Keeps what belongs to a take, before the take itself is saved."""

    def load_trajectory(self, take: Address) -> Trajectory | None:
        """What belongs to a take; None for one without, such as an imported picture."""

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
    lanes: Lanes,
) -> None:
    """Does every step of the plan that the store does not hold, and delivers its pictures.

    Each step is saved before what needs it is begun, and goes on as it was saved, so a render that
    was ended in the middle goes on with the same bits. What is kept in memory does not depend on
    the length of the clip.
    """
    with Footage(source, flow) as footage:
        work = _Work(plan, footage, settings.propagation, store, report, lanes)
        for paint, following in zip_longest(plan.paints, plan.paints[1:]):
            work.paint(paint, following)
        work.deliver_chosen_takes()
        for interval in plan.intervals:
            work.fill(interval)


Begin = Callable[[], Callable[[], StoredPicture]]
"""Begins to make a picture; what it returns waits for it."""


@dataclass(frozen=True)
class _Begun:
    """A step under way."""

    step: Step
    began: float
    finish: Callable[[], StoredPicture] | None
    """Waits for its picture; None where the store holds it."""


class _Work:
    """The steps of one plan."""

    def __init__(
        self,
        plan: Plan,
        footage: Footage,
        settings: PropagationSettings,
        store: RenderStore,
        report: Report,
        lanes: Lanes,
    ) -> None:
        self._plan = plan
        self._footage = footage
        self._settings = settings
        self._store = store
        self._report = report
        self._lanes = lanes
        self._idle_since = time.monotonic()

    def paint(self, step: Paint, following: Paint | None) -> None:
        """Paints a key frame (section 4.1), and looks meanwhile for the motion that the following
        one needs.
        """
        self._do(step, Stage.PAINTING, lambda: partial(self._painted, step, following))

    def deliver_chosen_takes(self) -> None:
        """Delivers what no step makes: takes that the editor chose."""
        for frame, address in self._plan.takes.items():
            self._deliver(frame, address)

    def fill(self, interval: Interval) -> None:
        """Makes the frames between two key frames (section 4.2).

        Both directions go on side by side, so that a device has work of both at once.
        """
        forward = self._propagation(interval.forward, self._lanes.forward)
        backward = self._propagation(interval.backward, self._lanes.backward)
        for pair in zip_longest(interval.forward, interval.backward):
            begun = [
                self._begin(step, Stage.PROPAGATING, partial(propagation.begin, step))
                for step, propagation in zip(pair, (forward, backward), strict=True)
                if step is not None
            ]
            for step in begun:
                self._finish(step)
        blending = _Blending(
            interval.blends, self._settings, self._footage, self._store, self._lanes.forward
        )
        for blend in interval.blends:
            self._do(blend, Stage.BLENDING, partial(blending.begin, blend))

    def _propagation(self, steps: Sequence[Propagate], kernels: Kernels) -> "_Propagation":
        return _Propagation(steps, self._settings, self._footage, self._store, kernels)

    def _do(self, step: Step, stage: Stage, begin: Begin) -> None:
        self._finish(self._begin(step, stage, begin))

    def _begin(self, step: Step, stage: Stage, begin: Begin) -> _Begun:
        self._report.check_cancelled()
        began = time.monotonic()
        if self._store.has(step.address):
            return _Begun(step, began, None)
        self._report.progress(stage, step.frame)
        return _Begun(step, began, begin())

    def _finish(self, begun: _Begun) -> None:
        step = begun.step
        if begun.finish is not None:
            precision = self._footage.frame(step.frame).precision
            self._store.save(step.address, begun.finish(), precision)
        self._deliver(step.frame, step.address)
        now = time.monotonic()
        seconds = now - max(begun.began, self._idle_since)
        self._idle_since = now
        self._report.done(step, seconds, reused=begun.finish is None)

    def _deliver(self, frame: int, address: Address) -> None:
        """Puts the picture into the sequence if it is the finished one of its frame."""
        if self._plan.pictures.get(frame) != address or self._store.delivered(frame) == address:
            return
        pixels = self._store.load(address).pixels
        self._store.deliver(from_painting_space(pixels, self._footage.frame(frame)), address)

    def _painted(self, step: Paint, following: Paint | None) -> StoredPicture:
        request = PaintRequest(
            step.frame,
            self._footage.rgb(step.frame),
            step.settings,
            tuple(self._reference(step, painted) for painted in step.references),
            keep=partial(self._store.save_trajectory, step.address),
            control_picture=self._control_picture(step.settings, step.frame),
        )
        if following is not None and not self._store.has(following.address):
            for painted in following.references:
                self._footage.expect(following.frame, painted.frame)
        pixels = painter_named(step.settings.painter).paint(request, self._report)
        return StoredPicture(pixels, drift=_drift(pixels, request))

    def _control_picture(self, settings: TranslationSettings, frame: int) -> FloatArray | None:
        if all(control.image != MOVIE for control in settings.controls):
            return None
        return self._footage.control_picture(settings.control_movie, frame)

    def _reference(self, step: Paint, painted: Painted) -> Reference:
        """What a key frame needs of another one to be painted against it."""
        frame = step.frame
        take, source = self._store.load(painted.take).pixels, self._footage.rgb(painted.frame)
        if take.shape != source.shape:
            raise InvalidValueError(
                f"The take of key frame {painted.frame} is {take.shape[1]}x{take.shape[0]} and the "
                f"clip {source.shape[1]}x{source.shape[0]}: import or paint it again in the size "
                "of the clip."
            )
        flow = self._footage.flow(frame, painted.frame)
        occlusion = occlusion_mask(flow, self._footage.flow(painted.frame, frame))
        trajectory = self._store.load_trajectory(painted.take)
        control_picture = self._control_picture(step.settings, painted.frame)
        return Reference(take, source, flow, occlusion, trajectory, control_picture)


def _drift(take: FloatArray, request: PaintRequest) -> Drift | None:
    if not request.references:
        return None
    anchor = request.references[0]
    return drift_from_anchor(take, anchor.take, anchor.flow, anchor.occlusion)


class _Propagation:
    """One key frame's take, carried to the frames at one side of it (section 4.2.1)."""

    def __init__(
        self,
        steps: Sequence[Propagate],
        settings: PropagationSettings,
        footage: Footage,
        store: RenderStore,
        kernels: Kernels,
    ) -> None:
        self._steps = steps
        self._settings = settings
        self._footage = footage
        self._store = store
        self._kernels = kernels

    def begin(self, step: Propagate) -> Callable[[], StoredPicture]:
        """Begins to make `step`, which comes after the one made before it."""
        made = self._carrier.carry(step.frame, self._store.load(step.previous).pixels)
        beyond = step.frame + step.direction.value
        if beyond in (later.frame for later in self._steps):
            self._footage.expect(beyond, step.frame)
        return lambda: StoredPicture(
            self._kernels.download(made.picture), self._kernels.download(made.patch_error)
        )

    @cached_property
    def _carrier(self) -> Carrier:
        first = self._steps[0]
        return Carrier(
            first.key_frame,
            first.direction,
            self._store.load(first.take).pixels,
            synthesis_parameters(self._settings),
            self._footage,
            self._kernels,
        )


class _Blending:
    """The blends of one interval (section 4.2.2)."""

    def __init__(
        self,
        steps: Sequence[Blend],
        settings: PropagationSettings,
        footage: Footage,
        store: RenderStore,
        kernels: Kernels,
    ) -> None:
        self._steps = iter(steps)
        self._poisson_weight = settings.poisson_weight
        self._footage = footage
        self._store = store
        self._kernels = kernels
        self._choice: DeviceArray | None = None

    def begin(self, step: Blend) -> Callable[[], StoredPicture]:
        """Begins to make `step`, which comes after the one made before it.

        The choice is not stored: where a render goes on in the middle of an interval, it is found
        again from the stored errors.
        """
        while (passed := next(self._steps)) != step:
            self._choice = self._kernels.choose(*self._sides(passed), self._carried(passed.frame))
        left, right = self._sides(step)
        self._choice, mixed = self._kernels.blend(left, right, self._carried(step.frame))
        if self._poisson_weight > 0:
            screening = 1 / self._poisson_weight
            mixed = self._kernels.poisson(mixed, left, right, self._choice, screening)
        return lambda: StoredPicture(self._kernels.download(mixed).clip(0, 1))

    def _carried(self, frame: int) -> DeviceArray | None:
        """The choice of the frame before, brought here along the flow."""
        if self._choice is None:
            return None
        flow = self._footage.flow(frame, frame - 1)
        return self._kernels.warp(self._choice, self._kernels.upload(flow.displacement))

    def _sides(self, step: Blend) -> tuple[Side, Side]:
        return self._side(step.left), self._side(step.right)

    def _side(self, step: Propagate) -> Side:
        stored = self._store.load(step.address)
        if stored.patch_error is None:
            raise StorageError(
                f"The picture carried to frame {step.frame} was stored without its errors: "
                "delete the stored results of this session and render again."
            )
        return Side(
            self._kernels.upload(stored.pixels),
            self._kernels.upload(stored.patch_error),
            abs(step.frame - step.key_frame),
        )
