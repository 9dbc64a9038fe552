"""Key-frame translation: section 4.1, from the noised source to the painting."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from math import ceil
from traceback import clear_frames

import numpy as np
import torch
from torch import Tensor

from engine.errors import ModelUnavailableError, OutOfMemoryError
from engine.motion.warp import warp
from engine.report import Report, Stage
from engine.translation.canvas import Canvas, picture_of
from engine.translation.execution import tells_of_memory
from engine.translation.method.colors import match_colors
from engine.translation.method.denoiser import Denoiser
from engine.translation.method.fidelity import fidelity_encoding
from engine.translation.method.fusion import (
    adain,
    displacement_of_cells,
    fuse_pixels,
    fuse_shape,
    mask_of_cells,
    overlay,
)
from engine.translation.method.level import CLEAN
from engine.translation.method.noise import shared_noise
from engine.translation.method.preview import RoughDecoder
from engine.translation.method.reference_view import ReferenceView
from engine.translation.method.references import encoded, name_of, retraced
from engine.translation.method.schedule import Schedule, schedule_of
from engine.translation.painter import PaintRequest, Trajectory, View
from engine.types import FloatArray
from engine.wording import plural

Tick = Callable[[], None]
"""Called before each step: tells of it, and raises CancelledError."""


@torch.inference_mode()
def translate(model: Denoiser, request: PaintRequest, report: Report) -> FloatArray:
    """Paints a key frame against its references, or by itself where it has none (section 4.1).

    Only the steps that the strength asks for are run; without any, the source comes back.
    """
    settings = request.settings
    schedule = _schedule(request)
    if not schedule.steps:
        if settings.strength > 0:
            report.notice(
                f"A strength of {settings.strength:g} runs none of "
                f"{plural(settings.steps, 'step')}, and the picture stays as it is: "
                "raise strength or steps."
            )
        return request.source.copy()
    _notice_idle_constraints(request, schedule, report)
    tick = _ticks(request, report)
    with _memory_errors(model, request):
        if settings.match_colors:
            request = _recolored(model, request, tick, report)
        sampling = _Sampling(model, request, schedule, tick, report)
        painted = sampling.run(sampling.start(), schedule.steps)
        if schedule.pixel:
            target = sampling.target(rough=painted)
            # Up to its window the second pass would do what the first one did.
            second_pass = schedule.steps[schedule.pixel.start :]
            painted = sampling.run(sampling.way[second_pass.start], second_pass, target)
        picture = sampling.picture(painted)
        request.keep(sampling.trajectory())
        return picture


@dataclass(frozen=True)
class _Target:
    """What pixel-aware fusion pulls to (4.1.3)."""

    x0: Tensor
    weight: Tensor
    """[1, 1, h, w]: how strongly."""


class _Sampling:
    """The passes over one key frame. Latents are [1, C, h, w]."""

    def __init__(
        self,
        model: Denoiser,
        request: PaintRequest,
        schedule: Schedule,
        tick: Tick,
        report: Report,
        *,
        is_shown: bool = True,
    ) -> None:
        self.way: dict[int, Tensor] = {}
        """The latent before each step."""
        self._model = model
        self._canvas = Canvas(model.multiple, model.device)
        self._levels = model.levels(request.settings)
        self._request = request
        self._settings = request.settings
        self.schedule = schedule
        self._tick = tick
        self._report = report
        self._is_shown = is_shown
        self._conditions = model.conditions(request.settings, request, schedule, request.references)
        self._predicted: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def start(self) -> Tensor:
        """The noised source, Eq. 2, of which the strength decides how much is left (SDEdit)."""
        return self._levels[0].noised(self._source, self._noise("start"))

    def pure_noise(self) -> Tensor:
        """x_T = z_T, of which nothing of the source is left but the size."""
        return self._levels[0].pure(self._noise("start"))

    def run(self, x: Tensor, steps: range, target: _Target | None = None) -> Tensor:
        """Does the steps from x_t on; the x0 at their end."""
        for step in steps:
            self._tick()
            self.way[step] = x
            x = self._step(x, step, target)
        return x

    def _step(self, x: Tensor, step: int, target: _Target | None) -> Tensor:
        """One step of Eq. 3, with the constraints in whose windows it lies."""
        schedule = self.schedule
        x0, noise, anchor_x0 = self._predict(x, step)
        if step in schedule.color:
            x0 = adain(x0, anchor_x0)
        if step in schedule.shape:
            x0 = fuse_shape(x0, anchor_x0, *self._anchor_motion)
        if self._is_shown:
            self._report.preview(self._request.frame, lambda: self._rough_picture(x0))
        after = self._levels[step + 1] if step + 1 < schedule.count else CLEAN
        if target is None or step not in schedule.pixel:
            return after.noised(x0, noise)
        target_noise = self._noise(f"pixel fusion {self._levels[step].time}")
        detail = self._settings.fusion_detail
        return fuse_pixels(x0, noise, target.x0, target_noise, after, target.weight, detail)

    def _predict(self, x: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """x0 and noise of the key frame (Eq. 4), and x0 of the anchor where it has one. A
        consistency model takes fresh noise after each step.

        The second pass begins with what the first one predicted there.
        """
        if step in self._predicted:
            return self._predicted.pop(step)
        level = self._levels[step]
        seen = [reference.at(step) for reference in self._looked_at(step)]
        features = [each.features for each in seen]
        x0, noise = self._model.predict(x, level, self._conditions, features)
        if self._settings.sampler == "lcm":
            noise = self._noise(f"after {level.time}")
        prediction = x0, noise, seen[0].x0 if seen else x0
        if self.schedule.pixel and step == self.schedule.pixel.start:
            self._predicted[step] = prediction
        return prediction

    def _looked_at(self, step: int) -> Sequence[ReferenceView]:
        """The references at which the key frame looks, or the anchor where a constraint does."""
        if self._settings.cross_frame_attention != "off":
            return self._references
        return self._references[:1] if self._asks_anchor(step) else ()

    def _asks_anchor(self, step: int) -> bool:
        return step in self.schedule.color or step in self.schedule.shape

    @cached_property
    def _references(self) -> list[ReferenceView]:
        levels, noise = self._levels, self._noise("start")
        names = [name_of(each) for each in self._request.references]
        if names:  # what is drawn for its colours alone looks at none
            self._model.memory.forget_all_but(names)
        return [
            ReferenceView(
                self._model,
                name,
                levels,
                retraced(each.trajectory, self._model.identity, levels, noise, self._canvas.upload)
                or encoded(self._fidelity(self._canvas.pixels(each.take)), levels, noise),
                partial(self._model.conditions, self._settings, each, self.schedule),
            )
            for name, each in zip(names, self._request.references, strict=True)
        ]

    @cached_property
    def _anchor_motion(self) -> tuple[Tensor, Tensor]:
        """Where the key frame's latent cells are in the anchor, and which of them are not."""
        anchor = self._request.references[0]
        displacement = self._canvas.planes(anchor.flow.displacement)[0]
        occlusion = self._canvas.planes(anchor.occlusion[..., None])
        cell = self._model.cell
        return displacement_of_cells(displacement, cell), mask_of_cells(occlusion, cell)

    def target(self, rough: Tensor) -> _Target:
        """The references moved over what the first pass painted (Eq. 10), encoded (Eq. 9)."""
        references = self._request.references
        takes = [self._canvas.pixels(warp(each.take, each.flow)) for each in references]
        occlusions = [self._canvas.planes(each.occlusion[..., None]) for each in references]
        fused, mask = overlay(self._decode(rough), takes, occlusions)
        hidden = mask_of_cells(mask, self._model.cell)
        return _Target(self._fidelity(fused), self._settings.fusion_strength * (1 - hidden))

    def picture(self, x0: Tensor) -> FloatArray:
        """[H, W, 3], of the size of the source."""
        height, width = self._request.source.shape[:2]
        picture = picture_of(self._decode(x0), height, width)
        if not np.isfinite(picture).all():
            raise ModelUnavailableError(
                f"Frame {self._request.frame} came out as no picture: numbers of the model or of "
                "its VAE overflow. Lower what is extreme, such as the weight of a word or LoRA; "
                "otherwise choose another VAE, or another model."
            )
        return picture

    def _rough_picture(self, x0: Tensor) -> FloatArray:
        """[h, w, 3], in the aspect of the source."""
        height, width = self._request.source.shape[:2]
        cells = x0.shape[-1] * self._model.cell
        picture = self._rough_decoder.picture(x0)
        scale = picture.shape[1] / cells
        return picture[: ceil(height * scale), : ceil(width * scale)]

    @cached_property
    def _rough_decoder(self) -> RoughDecoder:
        return RoughDecoder.fitted(self._source, self._canvas.pixels(self._request.source))

    @cached_property
    def _source(self) -> Tensor:
        """The x0 of the source."""
        return self._encode(self._canvas.pixels(self._request.source))

    def trajectory(self) -> Trajectory:
        """For key frames that are painted against this one."""
        latents = torch.cat([self.way[step] for step in self.schedule.steps])
        kept = latents.to(self._model.dtype).cpu().numpy()
        times = tuple(level.time for level in self._levels)
        return Trajectory(self._model.identity, times, kept)

    def _fidelity(self, pixels: Tensor) -> Tensor:
        return fidelity_encoding(pixels, self._encode, self._decode)

    def _encode(self, pixels: Tensor) -> Tensor:
        self._report.check_cancelled()  # it may take as long as a step
        return self._model.encode(pixels)

    def _decode(self, latent: Tensor) -> Tensor:
        self._report.check_cancelled()
        return self._model.decode(latent)

    def _noise(self, purpose: str) -> Tensor:
        height, width = self._canvas.padded_size(*self._request.source.shape[:2])
        cell = self._model.cell
        shape = 1, self._model.channels, height // cell, width // cell
        return self._canvas.upload(shared_noise(self._settings.seed, purpose, shape))


def _recolored(model: Denoiser, request: PaintRequest, tick: Tick, report: Report) -> PaintRequest:
    """The request with its source in the colours of a picture drawn from pure noise (5.4).

    That picture has the edges of the anchor, so all key frames of a shot get the same colours.
    """
    drawing = _drawing(request)
    schedule = _schedule(drawing)
    sampling = _Sampling(model, drawing, schedule, tick, report, is_shown=False)
    drawn = sampling.picture(sampling.run(sampling.pure_noise(), sampling.schedule.steps))
    return replace(request, source=match_colors(request.source, drawn))


def _drawing(request: PaintRequest) -> PaintRequest:
    anchor: View = request.references[0] if request.references else request
    return replace(
        request,
        source=anchor.source,
        control_picture=anchor.control_picture,
        settings=replace(request.settings, strength=1.0),
        references=(),
    )


def _schedule(request: PaintRequest) -> Schedule:
    return schedule_of(request.settings, against_others=bool(request.references))


def _ticks(request: PaintRequest, report: Report) -> Tick:
    """Counts the steps of all passes."""
    schedule = _schedule(request)
    total = schedule.count
    if schedule.pixel:
        total += total - schedule.pixel.start
    if request.settings.match_colors:
        total += _schedule(_drawing(request)).count
    steps = count(1)

    def tick() -> None:
        report.check_cancelled()
        report.progress(Stage.PAINTING, request.frame, next(steps), total)

    return tick


def _notice_idle_constraints(request: PaintRequest, schedule: Schedule, report: Report) -> None:
    """Tells of what is switched on and acts in no step."""
    settings = request.settings
    windows = {
        control.name: (True, steps)
        for control, steps in zip(settings.controls, schedule.controls, strict=True)
    }
    if request.references:
        windows["shape fusion"] = (settings.shape_fusion, schedule.shape)
        windows["pixel fusion"] = (settings.pixel_fusion, schedule.pixel)
        windows["colour adjustment"] = (settings.adain, schedule.color)
    idle = [name for name, (wanted, window) in windows.items() if wanted and not window]
    if settings.guidance_scale == 1 and settings.negative_prompt:
        report.notice(
            "At guidance scale 1 the negative prompt has no effect: choose a higher one, which "
            "takes twice the time."
        )
    if idle:
        report.notice(
            f"With {plural(schedule.count, 'step')} to run, none lies in the window of "
            f"{' or '.join(idle)}, which has no effect: raise steps or strength, or widen it."
        )


@contextmanager
def _memory_errors(model: Denoiser, request: PaintRequest) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not tells_of_memory(error):
            raise
        clear_frames(error.__traceback__)  # they hold tensors
        model.free_memory()
        height, width = request.source.shape[:2]
        smaller = model.size_that_fits(width, height) or "a smaller size"
        raise OutOfMemoryError(
            f"There is too little memory to paint frame {request.frame} at {width}x{height}: close "
            f"other programs, or render the clip at {smaller}."
        ) from error
