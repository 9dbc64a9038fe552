"""What each piece of work takes on a usual machine: a built-in table, for what was never measured.

`speeds.py` learns how far this machine is from it. Seconds of the built-in model, of propagation by
DIS and of finding cuts were measured on two cores of a server processor, those on a card are from
docs/benchmarks.md. What Stable Diffusion and networks for optical flow take on a processor was
worked out from their sizes and not measured.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import log2

from engine.graphics_card import graphics_card
from engine.native.abi import is_built
from engine.plan import Blend, Paint, Propagate
from engine.settings import PropagationSettings, TranslationSettings
from engine.store import Step
from engine.system import usable_cores
from engine.translation.method.schedule import schedule_of
from engine.translation.models.files import POCKET
from engine.types import FrameSize
from server.work.worker import DEVICE_VARIABLE

CUTS = "cuts"
"""The sort of work that looks for them."""
_CUDA_KERNELS = "inbetween_kernels_cuda"
"""Of a diffusion model; how many does not matter here."""
_TABLE_THREADS = 2
_MORE_THREADS = 0.75
"""Time falls with the number of threads to this power: some of the work does not divide."""

_START_SECONDS = 1.0
_CUTS_SECONDS_PER_FRAME = 0.003
_CUTS_SECONDS_PER_PIXEL = 4e-8

_LOADING_SECONDS = 7.0
_LOADING_LARGE_SECONDS = 25.0
"""A built-in model, most of it for the libraries, and Stable Diffusion."""
_SAMPLING_SECONDS_PER_PIXEL = 1.56e-6
_SAMPLING_PIXELS_BESIDE = 70_000
"""One call of the built-in network, which takes as long as so many pixels whatever the size."""
_ENCODING_SECONDS_PER_PIXEL = 4e-6
_FUSING_SECONDS_PER_PIXEL = 23e-6
_DECODING_SECONDS_PER_PIXEL = 9e-6
"""Of the built-in model: before the first step, between the passes and after the last step."""
_LARGE_SAMPLING = 25.0
_LARGE_CODING = 11.0
"""How many times as long Stable Diffusion takes."""
_CARD_PAINTING = 1 / 2000
_CARD_PAINTING_SECONDS = 0.1
_STYLE_SECONDS_PER_PIXEL = 1.2e-6
_STYLE_SECONDS = 0.05

_PROPAGATION_SECONDS_PER_PIXEL = {"draft": 1.8e-6, "standard": 2.5e-6, "best": 7.5e-6}
_BLEND_SECONDS_PER_PIXEL = 0.25e-6
_CARD_PROPAGATION_SECONDS_PER_PIXEL = 0.2e-6
_CARD_BLEND_SECONDS_PER_PIXEL = 0.1e-6
"""With a card, reading, flow and writing on the processor decide."""
_FLOW_SECONDS_PER_PIXEL = {"dis": 0.0, "raft": 40e-6, "raft_small": 10e-6, "gmflow": 40e-6}
_CARD_FLOW = 1 / 100

_WRITING_SECONDS_PER_FRAME = 0.01
_WRITING_SECONDS_PER_PIXEL = 1.5e-7


@dataclass(frozen=True)
class Machine:
    """What decides how long work takes."""

    threads: int = _TABLE_THREADS
    painting_card: str = ""
    """The name of the graphics card that paints; empty: the processor does."""
    propagation_card: str = ""

    @property
    def _threads_factor(self) -> float:
        return float((_TABLE_THREADS / self.threads) ** _MORE_THREADS)

    def on_processor(self, seconds: float) -> float:
        """Of what takes that long by the table."""
        return seconds * self._threads_factor


@dataclass(frozen=True)
class Piece:
    """A piece of work."""

    kind: str
    """Pieces of one kind differ from the table by the same factor."""
    parts: tuple[float, ...]
    """The seconds of the table: up to the first step that is reported, and of each step."""

    @property
    def sort(self) -> str:
        """Pieces of one sort are slow or quick together, whatever their size and settings."""
        return sort_of(self.kind)

    @cached_property
    def seconds(self) -> float:
        return sum(self.parts)

    def share(self, step: int, steps: int) -> float:
        """How much of the whole is done as that step begins, the first of which is 1."""
        if len(self.parts) != steps + 1:
            return min(1.0, max(0, step - 1) / max(1, steps))
        return sum(self.parts[:step]) / self.seconds if self.seconds else 0.0


def sort_of(kind: str) -> str:
    return kind.partition(" ")[0]


@cache
def this_machine() -> Machine:
    """The machine that the server runs on."""
    card = graphics_card() or ""
    device = os.environ.get(DEVICE_VARIABLE, "auto")
    propagates = device.startswith("cuda") or (device == "auto" and is_built(_CUDA_KERNELS))
    threads = usable_cores()
    return Machine(threads, card, card if propagates else "")


def starting() -> Piece:
    """The worker process begins."""
    return Piece("start", (_START_SECONDS,))


def finding_cuts(frames: int, size: FrameSize) -> Piece:
    seconds = _CUTS_SECONDS_PER_FRAME + _CUTS_SECONDS_PER_PIXEL * _pixels(size)
    return Piece(f"{CUTS} {_size_class(size)}", (seconds * frames,))


def loading(settings: TranslationSettings, machine: Machine) -> Piece | None:
    """What a worker that has painted nothing yet loads first; None for painters without a model
    that takes time.
    """
    if settings.painter != "diffusion":
        return None
    seconds = _LOADING_SECONDS if settings.model == POCKET else _LOADING_LARGE_SECONDS
    kind = f"load {settings.model} {settings.vae} {_controlnets(settings)} {machine.painting_card}"
    return Piece(kind, (seconds,))


def writing_seconds(size: FrameSize) -> float:
    """A frame of the result, read from the server and written into a movie or a sequence."""
    return _WRITING_SECONDS_PER_FRAME + _WRITING_SECONDS_PER_PIXEL * _pixels(size)


def piece_of(step: Step, size: FrameSize, settings: PropagationSettings, machine: Machine) -> Piece:
    """A step of the plan."""
    match step:
        case Paint():
            return _painting(step, size, machine)
        case Propagate():
            return _propagation(size, settings, machine)
        case Blend():
            return _blend(size, settings, machine)


def _painting(step: Paint, size: FrameSize, machine: Machine) -> Piece:
    settings, pixels = step.settings, _pixels(size)
    if settings.painter != "diffusion":
        seconds = machine.on_processor(_STYLE_SECONDS + _STYLE_SECONDS_PER_PIXEL * pixels)
        return Piece(f"paint {settings.painter} {_size_class(size)}", (seconds,))
    against = "against others" if step.references else "alone"
    kind = (
        f"paint {settings.model} {_controlnets(settings)} {settings.sampler} "
        f"{'guided' if _is_guided(settings) else 'plain'} {against} {_size_class(size)} "
        f"{machine.painting_card or 'processor'}"
    )
    parts = _sampling_parts(settings, pixels, against_others=bool(step.references))
    if machine.painting_card:
        beside = _CARD_PAINTING_SECONDS / len(parts)
        return Piece(kind, tuple(beside + _CARD_PAINTING * part for part in parts))
    return Piece(kind, tuple(machine.on_processor(part) for part in parts))


def _sampling_parts(
    settings: TranslationSettings, pixels: int, *, against_others: bool
) -> Sequence[float]:
    """Up to the first step, each step, with what lies between the passes and comes after them."""
    is_large = settings.model != POCKET
    coding = pixels * (_LARGE_CODING if is_large else 1)
    size = pixels * (2 if _is_guided(settings) else 1)
    call = _SAMPLING_SECONDS_PER_PIXEL * (size + _SAMPLING_PIXELS_BESIDE)
    if is_large:
        call *= _LARGE_SAMPLING
    schedule = schedule_of(settings, against_others=against_others)
    looks = against_others and settings.cross_frame_attention != "off"
    parts = [_ENCODING_SECONDS_PER_PIXEL * coding]
    if settings.match_colors:
        parts += [call] * settings.steps
        parts[-1] += _DECODING_SECONDS_PER_PIXEL * coding
    parts += [call * (2 if looks else 1)] * schedule.count
    if schedule.pixel:
        parts[-1] += _FUSING_SECONDS_PER_PIXEL * coding
        # The second pass looks at what the references were asked in the first one, and begins
        # with a step that was done.
        parts += [0.0] + [call] * (schedule.count - schedule.pixel.start - 1)
    parts[-1] += _DECODING_SECONDS_PER_PIXEL * coding
    return parts


@lru_cache(8)
def _propagation(size: FrameSize, settings: PropagationSettings, machine: Machine) -> Piece:
    card, estimator = machine.propagation_card, settings.flow_estimator
    pixels = _pixels(size)
    flow = pixels * _FLOW_SECONDS_PER_PIXEL.get(estimator, 0.0)
    flow = _CARD_FLOW * flow if machine.painting_card else machine.on_processor(flow)
    seconds = pixels * (
        _CARD_PROPAGATION_SECONDS_PER_PIXEL
        if card
        else machine.on_processor(_PROPAGATION_SECONDS_PER_PIXEL.get(settings.quality, 0.0))
    )
    kind = (
        f"propagate {settings.quality} {settings.patch_size} {estimator} {_size_class(size)} "
        f"{card or 'processor'}"
    )
    return Piece(kind, (seconds + flow,))


@lru_cache(8)
def _blend(size: FrameSize, settings: PropagationSettings, machine: Machine) -> Piece:
    card = machine.propagation_card
    seconds = _pixels(size) * (
        _CARD_BLEND_SECONDS_PER_PIXEL if card else machine.on_processor(_BLEND_SECONDS_PER_PIXEL)
    )
    smooths = "smoothed" if settings.poisson_weight > 0 else "plain"
    kind = f"blend {smooths} {_size_class(size)} {card or 'processor'}"
    return Piece(kind, (seconds,))


def _controlnets(settings: TranslationSettings) -> str:
    return "+".join(f"{control.controlnet}:{control.image}" for control in settings.controls)


def _is_guided(settings: TranslationSettings) -> bool:
    """Guidance asks the network twice; 0 is what is usual, which does not where it is 1."""
    usual = 1.0 if settings.model == POCKET or settings.sampler == "lcm" else 7.5
    return (settings.guidance_scale or usual) != 1


def _pixels(size: FrameSize) -> int:
    return size.width * size.height


def _size_class(size: FrameSize) -> str:
    """Sizes of one class have about the same time per pixel: four times the pixels are two on."""
    return f"2^{round(log2(_pixels(size)))}"
