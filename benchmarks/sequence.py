"""A short clip through the product's own pipeline, its pictures kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.carrying import in_floats
from benchmarks.cases import PAINTINGS, Unwatched
from benchmarks.pictures import Pictures
from engine.memory_store import MemoryStore
from engine.metrics import pixel_mse
from engine.motion.flow import DisFlow
from engine.native.kernels import Kernels
from engine.pipeline import execute
from engine.plan import Plan, SourceFacts, make_plan
from engine.settings import PropagationSettings, RenderSettings
from engine.sharpness import mean_gradient
from engine.store import StoredPicture
from engine.translation.painters import recipe_of
from engine.types import FloatArray, KeyFrame


@dataclass(frozen=True)
class Rendered:
    """Frames [H, W, 3] by their number, key frames included."""

    blended: Mapping[int, FloatArray]
    forward: Mapping[int, FloatArray]
    """Where each frame is carried from the key frame before it alone."""


def render(
    pictures: Pictures, takes: Mapping[int, FloatArray], quality: str, kernels: Kernels
) -> Rendered:
    """Carries takes, [H, W, 3] by their key frames, to the frames between them."""
    settings = RenderSettings(propagation=PropagationSettings(quality=quality))
    plan = plan_of(pictures, tuple(takes), settings)
    store = MemoryStore({_take(key): StoredPicture(take) for key, take in takes.items()})
    execute(plan, pictures, settings, store, Unwatched(), DisFlow(), kernels)
    forward = {step.frame: step.address for part in plan.intervals for step in part.forward}
    return Rendered(
        blended={index: store.load(address).pixels for index, address in plan.pictures.items()},
        forward={
            index: store.load(forward.get(index, address)).pixels
            for index, address in plan.pictures.items()
        },
    )


def plan_of(pictures: Pictures, keys: Sequence[int], settings: RenderSettings) -> Plan:
    """All frames, with takes that `render` stores for those key frames."""
    frames = pictures.clip.frame_range
    digests = {index: pictures.digest(index) for index in frames.indices}
    key_frames = [KeyFrame(key, take=_take(key)) for key in keys]
    facts = SourceFacts(frames, digests)
    return make_plan(facts, key_frames, settings, frames, recipe_of, DisFlow.recipe)


def _take(key: int) -> str:
    return f"take of {key}"


@dataclass(frozen=True)
class Calm:
    """How calm a painted sequence is, and how sharp it stays."""

    warp_error: float
    """Pixel-MSE from key frame to key frame, along the flow of the source (section 5.2)."""
    one_directional_warp_error: float
    """The same where only the first key frame is carried, up to the last one's own picture."""
    gradient_ratios: tuple[float, ...]
    """Mean gradient of each frame between over that of the first key frame, which alone is
    carried."""


def calm(pictures: Pictures, painting: str, quality: str, kernels: Kernels) -> Calm:
    """Paints the first and the last frame and makes those between them."""
    frames = pictures.clip.frame_range
    takes = {
        key: in_floats(PAINTINGS[painting](pictures.pictures[key], key))
        for key in (frames.first, frames.last)
    }
    rendered = render(pictures, takes, quality, kernels)
    carried = [rendered.forward[index] for index in frames.indices[:-1]]
    gradients = [mean_gradient(picture) for picture in carried]
    return Calm(
        warp_error=_warp_error(rendered.blended, pictures),
        one_directional_warp_error=_warp_error(rendered.forward, pictures),
        gradient_ratios=tuple(gradient / gradients[0] for gradient in gradients[1:]),
    )


def _warp_error(results: Mapping[int, FloatArray], pictures: Pictures) -> float:
    ordered = sorted(results)
    return pixel_mse(
        (results[index] for index in ordered),
        (in_floats(pictures.pictures[index]) for index in ordered),
        DisFlow(),
    ).mean
