"""A plan carried out: key frames are painted, carried to the frames between them, and blended."""

import time
from collections.abc import Sequence
from functools import cached_property, partial
from itertools import zip_longest

from engine.errors import InvalidValueError, StorageError
from engine.footage import Footage
from engine.media.source import FrameSource
from engine.metrics import drift_from_anchor
from engine.motion.flow import FlowEstimator
from engine.motion.occlusion import occlusion_mask
from engine.native.kernels import DeviceArray, DeviceSynthesis, Kernels, Side, SynthesisTask
from engine.plan import Address, Blend, Interval, Paint, Painted, Plan, Propagate
from engine.propagation.carry import Carrier
from engine.propagation.parameters import synthesis_parameters
from engine.report import Report, Stage
from engine.settings import MOVIE, PropagationSettings, RenderSettings, TranslationSettings
from engine.store import RenderStore, Saver, Step, StoredPicture
from engine.translation.painter import PaintRequest, Reference
from engine.translation.painters import painter_named
from engine.types import Drift, FloatArray, Precision

RESIDENT_BYTES = 640 << 20
"""Pictures of an interval that stay on the device until they are blended, with their errors: ten
frames of 1920x1080 from both sides. What is beyond it comes back from the store."""


def execute(
    plan: Plan,
    source: FrameSource,
    settings: RenderSettings,
    store: RenderStore,
    report: Report,
    flow: FlowEstimator,
    kernels: Kernels,
) -> None:
    """Does every step of the plan that the store does not hold, and delivers its pictures.

    Each step goes on as it is saved, so a render that was ended in the middle goes on with the same
    bits; it is saved while what needs it is made. What is kept in memory does not depend on
    the length of the clip.
    """
    with Footage(source, flow) as footage, Saver(store, plan.pictures, report) as saver:
        work = _Work(plan, footage, settings.propagation, store, saver, report, kernels)
        work.deliver_chosen_takes()
        for paint, following in zip_longest(plan.paints, plan.paints[1:]):
            work.paint(paint, following)
        for interval in plan.intervals:
            work.fill(interval)


class _Work:
    """The steps of one plan."""

    def __init__(
        self,
        plan: Plan,
        footage: Footage,
        settings: PropagationSettings,
        store: RenderStore,
        saver: Saver,
        report: Report,
        kernels: Kernels,
    ) -> None:
        self._plan = plan
        self._footage = footage
        self._settings = settings
        self._store = store
        self._saver = saver
        self._report = report
        self._kernels = kernels

    def paint(self, step: Paint, following: Paint | None) -> None:
        """Paints a key frame (section 4.1), and looks meanwhile for the motion that the following
        one needs. A painting that there is already was made for the words that are understood, so
        the editor hears of the others in any case.
        """
        if advice := painter_named(step.settings.painter).advice(step.settings):
            self._report.notice(advice)
        began = self._begin(step, Stage.PAINTING)
        if began is not None:
            self._save(step, began, self._painted(step, following))

    def deliver_chosen_takes(self) -> None:
        """Delivers what no step makes: takes that the editor chose."""
        painted = {step.frame for step in self._plan.paints}
        for index, address in self._plan.takes.items():
            if index not in painted and self._saver.is_missing(index, address):
                frame = self._footage.frame(index)
                self._saver.deliver(self._store.load(address), frame, address)

    def fill(self, interval: Interval) -> None:
        """Makes the frames between two key frames (section 4.2)."""
        resident = _Resident()
        sides = [
            _Propagation(steps, self._settings, self._footage, self._saver, self._kernels, resident)
            for steps in (interval.forward, interval.backward)
        ]
        for pair in zip_longest(interval.forward, interval.backward):
            self._propagate([(side, step) for side, step in zip(sides, pair, strict=True) if step])
        blending = _Blending(
            interval.blends, self._settings, self._footage, self._saver, self._kernels, resident
        )
        for step in interval.blends:
            began = self._begin(step, Stage.BLENDING)
            if began is not None:
                self._save(step, began, blending.blended(step))

    def _propagate(self, steps: "Sequence[tuple[_Propagation, Propagate]]") -> None:
        """One step of each direction, side by side, so that a device has work of both at once."""
        begun: list[tuple[_Propagation, Propagate, float]] = []
        tasks: list[SynthesisTask] = []
        for side, step in steps:
            began = self._begin(step, Stage.PROPAGATING)
            if began is not None:
                begun.append((side, step, began))
                tasks.append(side.task(step))
        made = self._kernels.synthesize(tasks)
        for (side, step, began), result in zip(begun, made, strict=True):
            frame = self._footage.frame(step.frame)
            self._saver.save(step, began, side.finished(step, result, frame.precision), frame)

    def _begin(self, step: Step, stage: Stage) -> float | None:
        """When the step began; None where the store holds it."""
        self._report.check_cancelled()
        began = time.monotonic()
        if not self._saver.has(step.address):
            self._report.progress(stage, step.frame)
            return began
        missing = self._saver.is_missing(step.frame, step.address)
        self._saver.reuse(step, began, self._footage.frame(step.frame) if missing else None)
        return None

    def _save(self, step: Step, began: float, picture: StoredPicture) -> None:
        frame = self._footage.frame(step.frame)
        self._saver.save(step, began, picture.rounded(frame.precision), frame)

    def _painted(self, step: Paint, following: Paint | None) -> StoredPicture:
        request = PaintRequest(
            step.frame,
            self._footage.rgb(step.frame),
            step.settings,
            tuple(self._reference(step, painted) for painted in step.references),
            keep=partial(self._store.save_trajectory, step.address),
            control_picture=self._control_picture(step.settings, step.frame),
        )
        if following is not None and not self._saver.has(following.address):
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
        take, source = self._saver.load(painted.take).pixels, self._footage.rgb(painted.frame)
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


class _Resident:
    """Pictures of an interval, with their errors, that are still on the device."""

    def __init__(self) -> None:
        self._held: dict[Address, Side] = {}
        self._bytes = 0

    def hold(self, address: Address, side: Side) -> None:
        """Keeps it if there is room."""
        self._bytes += side.picture.nbytes + side.patch_error.nbytes
        if self._bytes <= RESIDENT_BYTES:
            self._held[address] = side

    def find(self, address: Address) -> Side | None:
        return self._held.get(address)


class _Propagation:
    """One key frame's take, carried to the frames at one side of it (section 4.2.1)."""

    def __init__(
        self,
        steps: Sequence[Propagate],
        settings: PropagationSettings,
        footage: Footage,
        saver: Saver,
        kernels: Kernels,
        resident: _Resident,
    ) -> None:
        self._steps = steps
        self._settings = settings
        self._footage = footage
        self._saver = saver
        self._kernels = kernels
        self._resident = resident
        self._last: tuple[Address, DeviceArray] | None = None

    def task(self, step: Propagate) -> SynthesisTask:
        """What makes `step`, which comes after the one made before it."""
        task = self._carrier.task(step.frame, self._picture(step.previous))
        beyond = step.frame + step.direction.value
        if beyond in (later.frame for later in self._steps):
            self._footage.expect(beyond, step.frame)
        return task

    def finished(
        self, step: Propagate, made: DeviceSynthesis, precision: Precision
    ) -> StoredPicture:
        """The picture as it is stored, once it is made; what goes on from it is the same."""
        picture, download = made.picture, self._kernels.download
        if precision is Precision.HALF:
            picture = self._kernels.nearest_half(picture)
        self._last = step.address, picture
        self._resident.hold(step.address, Side(picture, made.patch_error, step.distance))
        return StoredPicture(download(picture), download(made.patch_error))

    def _picture(self, address: Address) -> DeviceArray:
        if self._last is not None and self._last[0] == address:
            return self._last[1]
        return self._kernels.upload(self._saver.load(address).pixels)

    @cached_property
    def _carrier(self) -> Carrier:
        first = self._steps[0]
        return Carrier(
            first.key_frame,
            first.direction,
            self._saver.load(first.take).pixels,
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
        saver: Saver,
        kernels: Kernels,
        resident: _Resident,
    ) -> None:
        self._steps = iter(steps)
        self._poisson_weight = settings.poisson_weight
        self._footage = footage
        self._saver = saver
        self._kernels = kernels
        self._resident = resident
        self._choice: DeviceArray | None = None

    def blended(self, step: Blend) -> StoredPicture:
        """Makes `step`, which comes after the one made before it.

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
        return StoredPicture(self._kernels.download(mixed).clip(0, 1))

    def _carried(self, frame: int) -> DeviceArray | None:
        """The choice of the frame before, brought here along the flow."""
        if self._choice is None:
            return None
        flow = self._footage.flow(frame, frame - 1)
        return self._kernels.warp(self._choice, self._kernels.upload(flow.displacement))

    def _sides(self, step: Blend) -> tuple[Side, Side]:
        return self._side(step.left), self._side(step.right)

    def _side(self, step: Propagate) -> Side:
        if side := self._resident.find(step.address):
            return side
        stored = self._saver.load(step.address)
        if stored.patch_error is None:
            raise StorageError(
                f"The picture carried to frame {step.frame} was stored without its errors: "
                "delete the stored results of this session and render again."
            )
        upload = self._kernels.upload
        return Side(upload(stored.pixels), upload(stored.patch_error), step.distance)
