"""What has to be painted, propagated and blended, worked out before anything is done.

Every picture has an address: a hash of all that goes into it. A plan is the list of steps with the
addresses of what they read and write, so what a store already holds need not be made again, a
cost can be told beforehand, and a render that was killed goes on where it stopped. A step's
address does not depend on the range that was asked for, nor on key frames beyond its own ends.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from itertools import pairwise

from engine.errors import InvalidValueError
from engine.settings import RenderSettings, TranslationSettings
from engine.types import FrameRange, KeyFrame

Address = str

METHOD_VERSION = 4
"""Part of every address: raise it when the same inputs give another picture."""


@dataclass(frozen=True)
class SourceFacts:
    """What must be known of a clip to plan: not its pixels, but what identifies them."""

    frame_range: FrameRange
    digests: Mapping[int, str]
    """Source frame to a digest of its pixels, for the frames that are known."""
    cuts: frozenset[int] = frozenset()
    """First frames of the shots after the first one."""


@dataclass(frozen=True)
class Recipe:
    """All that a painter's picture depends on, besides the source frame."""

    text: str
    paints_against_others: bool = False
    """The painter looks at the anchor and the previous key frame (section 4.1)."""


@dataclass(frozen=True)
class Painted:
    """A take of a key frame."""

    frame: int
    take: Address


@dataclass(frozen=True)
class Paint:
    """Paint a key frame."""

    address: Address
    frame: int
    recipe: Address
    """As the address, but without the takes it is painted against."""
    settings: TranslationSettings
    """With the key frame's own prompt, strength and seed in place."""
    references: tuple[Painted, ...] = ()
    """What it is painted against: the anchor, which is the first key frame of its shot, then the
    previous key frame, where that is another one."""

    @property
    def painted_against(self) -> tuple[Address, ...]:
        return tuple(reference.take for reference in self.references)


class Direction(Enum):
    """Along time or against it."""

    FORWARD = 1
    BACKWARD = -1


@dataclass(frozen=True)
class Propagate:
    """Carry a key frame's take one frame further."""

    address: Address
    frame: int
    key_frame: int
    take: Address
    previous: Address
    """The picture carried to the frame before this one; the take itself next to the key frame."""
    direction: Direction


@dataclass(frozen=True)
class Blend:
    """Join what the key frames at both sides give (section 4.2.2)."""

    address: Address
    frame: int
    left: Propagate
    right: Propagate
    previous: Address | None
    """The blend of the frame before this one, unless that is the left key frame."""


@dataclass(frozen=True)
class Interval:
    """The frames between two neighbouring key frames, or from one to the end of its shot."""

    forward: tuple[Propagate, ...]
    """From the left key frame on, in the order of work."""
    backward: tuple[Propagate, ...]
    """From the right key frame back, in the order of work."""
    blends: tuple[Blend, ...]
    """Where both reach, in the order of time."""

    @property
    def steps(self) -> tuple[Propagate | Blend, ...]:
        return (*self.forward, *self.backward, *self.blends)


@dataclass(frozen=True)
class Plan:
    """All steps for a range of frames, in an order in which they can be done."""

    paints: tuple[Paint, ...]
    intervals: tuple[Interval, ...]
    takes: Mapping[int, Address]
    """Key frame to its take, painted or chosen."""
    pictures: Mapping[int, Address]
    """Frame to its finished picture. A frame that is not here has no key frame in its shot: it
    stays source."""

    @property
    def steps(self) -> tuple[Paint | Propagate | Blend, ...]:
        return (*self.paints, *(step for interval in self.intervals for step in interval.steps))


def automatic_key_frames(
    frame_range: FrameRange, cuts: Iterable[int], key_interval: int
) -> list[int]:
    """Every `key_interval`-th frame of each shot, and the last frame of it; none for 0."""
    if key_interval < 0:
        raise InvalidValueError(f"key_interval is {key_interval}: choose 0 or more frames.")
    if key_interval == 0:
        return []
    return sorted(
        {
            index
            for shot in shots(frame_range, cuts)
            for index in (*shot.indices[::key_interval], shot.last)
        }
    )


def shots(frame_range: FrameRange, cuts: Iterable[int]) -> list[FrameRange]:
    """The range divided at its cuts, in the order of time."""
    inside = sorted(cut for cut in set(cuts) if frame_range.first < cut <= frame_range.last)
    edges = [frame_range.first, *inside, frame_range.last + 1]
    return [FrameRange(first, following - 1) for first, following in pairwise(edges)]


def needed_sources(
    frame_range: FrameRange,
    key_indices: Iterable[int],
    frames: FrameRange,
    *,
    paints_against_others: bool = False,
    cuts: Iterable[int] = (),
) -> FrameRange | None:
    """The source frames that a plan for `frames` reads, wherever the cuts are; None without keys.

    They reach from the key frame at or before `frames` to the one at or after it, or to the ends
    of the clip where there is none. Key frames that are painted against others need all from the
    first key frame of their shot: its anchor, each of those between in turn, and the frames that
    tell whether a cut lies there. `cuts` are those that are known.
    """
    keys = sorted(key_indices)
    if not keys:
        return None
    before = max((key for key in keys if key <= frames.first), default=None)
    after = min((key for key in keys if key >= frames.last), default=None)
    first = before if before is not None else min(frames.first, keys[0])
    last = after if after is not None else max(frames.last, keys[-1])
    if paints_against_others:
        shot_first = max((cut for cut in cuts if cut <= first), default=frame_range.first)
        first = min(first, next(key for key in keys if key >= shot_first))
    return FrameRange(max(first, frame_range.first), min(last, frame_range.last))


def make_plan(
    facts: SourceFacts,
    key_frames: Sequence[KeyFrame],
    settings: RenderSettings,
    frames: FrameRange,
    recipe_of: Callable[[TranslationSettings], Recipe],
    flow_recipe: str,
) -> Plan:
    """Plans `frames`, in whole intervals: what lies between two key frames is one piece of work.

    `recipe_of` tells what a painter's picture depends on, `flow_recipe` all that optical flow
    depends on besides two frames. Frames whose digest is not known get no steps and no picture: a
    host has not sent them yet.

    Raises InvalidValueError for key frames outside the clip and for two at one frame.
    """
    check_key_frames(facts.frame_range, (key.index for key in key_frames))
    ordered = sorted(key_frames, key=lambda key: key.index)
    builder = _Builder(facts, settings, recipe_of, flow_recipe)
    paints: dict[int, Paint] = {}
    takes: dict[int, Address] = {}
    pictures: dict[int, Address] = {}
    intervals: list[Interval] = []
    used: set[int] = set()

    for shot in shots(facts.frame_range, facts.cuts):
        keys = [key for key in ordered if key.index in shot and key.index in facts.digests]
        painted: list[Painted] = []
        for key in keys:
            if key.take is not None:
                takes[key.index] = key.take
            else:
                paints[key.index] = builder.paint(key, painted)
                takes[key.index] = paints[key.index].address
            painted.append(Painted(key.index, takes[key.index]))
            if key.index in frames:
                used.add(key.index)
        indices = [key.index for key in keys]
        for left, right in pairwise([None, *indices, None]):
            if left is None and right is None:
                continue
            # Where only one key frame gives pictures, nothing is carried further than asked for.
            first = max(shot.first, frames.first) if left is None else left + 1
            last = min(shot.last, frames.last) if right is None else right - 1
            if first > last or first > frames.last or last < frames.first:
                continue
            interval = builder.interval(FrameRange(first, last), left, right, takes)
            intervals.append(interval)
            pictures |= {step.frame: step.address for step in interval.steps}
            used |= {step.key_frame for step in (*interval.forward, *interval.backward)}

    pictures |= {index: takes[index] for index in takes if index in frames}
    needed = {takes[index] for index in used}
    for paint in reversed(paints.values()):
        if paint.address in needed:
            needed |= set(paint.painted_against)
    return Plan(
        paints=tuple(paint for paint in paints.values() if paint.address in needed),
        intervals=tuple(intervals),
        takes=takes,
        pictures={index: address for index, address in sorted(pictures.items()) if index in frames},
    )


def check_key_frames(frame_range: FrameRange, indices: Iterable[int]) -> None:
    """Raises InvalidValueError for key frames outside the clip and for two at one frame."""
    seen: set[int] = set()
    for index in indices:
        if index not in frame_range:
            raise InvalidValueError(
                f"Key frame {index} lies outside the clip: choose a frame from "
                f"{frame_range.first} to {frame_range.last}."
            )
        if index in seen:
            raise InvalidValueError(f"Key frame {index} is given twice: name it once.")
        seen.add(index)


def own_settings(key: KeyFrame, settings: TranslationSettings) -> TranslationSettings:
    """The clip's settings with what the key frame sets for itself."""
    own = {
        name: value
        for name in ("prompt", "negative_prompt", "strength", "seed")
        if (value := getattr(key, name)) is not None
    }
    return replace(settings, **own)


def address_of(kind: str, **inputs: object) -> Address:
    """The address of a picture made from `inputs`, which must be JSON values."""
    text = json.dumps([METHOD_VERSION, kind, inputs], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _Builder:
    """Makes steps with their addresses."""

    def __init__(
        self,
        facts: SourceFacts,
        settings: RenderSettings,
        recipe_of: Callable[[TranslationSettings], Recipe],
        flow_recipe: str,
    ) -> None:
        self._digests = facts.digests
        self._color_space = settings.source.color_space
        self._translation = settings.translation
        self._propagation = {
            **asdict(settings.propagation),
            # What these two stand for, a weights file included.
            "flow_estimator": flow_recipe,
            "flow_weights": None,
        }
        self._poisson_weight = self._propagation.pop("poisson_weight")
        self._recipe_of = recipe_of
        self._flow_recipe = flow_recipe

    def paint(self, key: KeyFrame, before: Sequence[Painted]) -> Paint:
        """Paints a key frame; `before` are those before it in its shot."""
        settings = own_settings(key, self._translation)
        recipe = self._recipe_of(settings)
        recipe_address = address_of(
            "take",
            recipe=recipe.text,
            source=self._digests[key.index],
            color_space=self._color_space,
            flow=self._flow_recipe if recipe.paints_against_others else None,
        )
        references: tuple[Painted, ...] = ()
        if recipe.paints_against_others and before:
            references = tuple(dict.fromkeys((before[0], before[-1])))
        address = recipe_address
        if references:
            address = address_of(
                "take",
                recipe=recipe_address,
                references=[[self._digests[each.frame], each.take] for each in references],
            )
        return Paint(address, key.index, recipe_address, settings, references)

    def interval(
        self,
        span: FrameRange,
        left: int | None,
        right: int | None,
        takes: Mapping[int, Address],
    ) -> Interval:
        forward = self._chain(left, span.indices, Direction.FORWARD, takes)
        backward = self._chain(right, span.indices[::-1], Direction.BACKWARD, takes)
        return Interval(forward, backward, self._blends(forward, backward))

    def _chain(
        self,
        key: int | None,
        indices: range,
        direction: Direction,
        takes: Mapping[int, Address],
    ) -> tuple[Propagate, ...]:
        steps: list[Propagate] = []
        if key is None:
            return ()
        previous = takes[key]
        for index in indices:
            if index not in self._digests:
                break
            address = address_of(
                "propagation",
                key_source=self._digests[key],
                source=self._digests[index],
                previous=previous,
                settings=self._propagation,
                color_space=self._color_space,
            )
            steps.append(Propagate(address, index, key, takes[key], previous, direction))
            previous = address
        return tuple(steps)

    def _blends(
        self, forward: Sequence[Propagate], backward: Sequence[Propagate]
    ) -> tuple[Blend, ...]:
        blends: list[Blend] = []
        previous: Address | None = None
        for left, right in zip(forward, reversed(backward), strict=False):
            if left.frame != right.frame:
                break
            address = address_of(
                "blend",
                left=left.address,
                right=right.address,
                previous=previous,
                poisson_weight=self._poisson_weight,
                distances=[left.frame - left.key_frame, right.key_frame - right.frame],
            )
            blends.append(Blend(address, left.frame, left, right, previous))
            previous = address
        return tuple(blends)
