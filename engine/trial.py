"""A few frames rendered in memory and measured: how well a model and its settings hold together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from engine.media.color import to_painting_space
from engine.media.moving_scene import MovingScene
from engine.media.source import FrameSource
from engine.memory_store import MemoryStore
from engine.metrics import WarpError, warp_error
from engine.motion.estimators import flow_estimator
from engine.motion.flow import DisFlow
from engine.native.kernels import Kernels
from engine.pipeline import execute
from engine.plan import Plan, SourceFacts, make_plan
from engine.report import Report
from engine.settings import RenderSettings, TranslationSettings
from engine.sharpness import mean_gradient
from engine.translation.painters import recipe_of
from engine.types import FloatArray, Flow, FrameRange, KeyFrame

Pictures = Mapping[int, FloatArray]
"""Pictures [H, W, 3] in painting space, by frame, in the order of time."""


def independent(settings: TranslationSettings) -> TranslationSettings:
    """The settings by which no key frame looks at another one."""
    return replace(
        settings, cross_frame_attention="off", shape_fusion=False, pixel_fusion=False, adain=False
    )


@dataclass
class Trial:
    """A clip from its first key frame to its last one."""

    source: FrameSource
    keys: Sequence[int]
    """Rising."""
    kernels: Kernels
    store: MemoryStore = field(default_factory=MemoryStore)
    _flows: dict[tuple[int, int], Flow] = field(default_factory=dict)

    def plan(self, settings: RenderSettings) -> Plan:
        frames = FrameRange(self.keys[0], self.keys[-1])
        facts = SourceFacts(frames, {at: self.source.digest(at) for at in frames.indices})
        key_frames = [KeyFrame(key) for key in self.keys]
        flow_recipe = flow_estimator(settings.propagation).recipe
        return make_plan(facts, key_frames, settings, frames, recipe_of, flow_recipe)

    def paint(self, settings: RenderSettings, report: Report) -> Pictures:
        """The key frames alone."""
        plan = self.plan(settings)
        self._execute(replace(plan, intervals=()), settings, report)
        return {key: self.store.load(plan.takes[key]).pixels for key in self.keys}

    def render(self, settings: RenderSettings, report: Report) -> Pictures:
        """All frames."""
        plan = self.plan(settings)
        self._execute(plan, settings, report)
        return {at: self.store.load(address).pixels for at, address in plan.pictures.items()}

    def warp_error(self, results: Pictures) -> WarpError:
        """Pixel-MSE of frames, Key-MSE of key frames: along the motion of the clip, which is known
        exactly of a made-up one.
        """
        return WarpError(
            tuple(
                warp_error(
                    results[now], results[before], self.flow(now, before), self.flow(before, now)
                )
                for before, now in pairwise(results)
            )
        )

    def flow(self, first: int, second: int) -> Flow:
        """The motion of the clip from a frame to another one."""
        if isinstance(self.source, MovingScene):
            return self.source.flow(first, second)
        if (first, second) not in self._flows:
            pictures = (to_painting_space(self.source.read(at)) for at in (first, second))
            self._flows[first, second] = DisFlow().estimate(*pictures)
        return self._flows[first, second]

    def _execute(self, plan: Plan, settings: RenderSettings, report: Report) -> None:
        flow = flow_estimator(settings.propagation, report.notice)
        execute(plan, self.source, settings, self.store, report, flow, self.kernels)


def color_distance(takes: Pictures) -> float:
    """How far the mean colours of key frames are from the first one's, 0..1."""
    first, *others = (take.mean((0, 1)) for take in takes.values())
    return float(np.mean([np.abs(other - first).mean() for other in others]))


def sharpness(takes: Pictures) -> float:
    """Mean gradient of key frames over that of the first one: below 1 they are blurred."""
    first, *others = map(mean_gradient, takes.values())
    return float(np.mean(others)) / first
