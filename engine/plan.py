"""What has to be painted, propagated and blended, worked out before anything is done.

Every picture has an address: a hash of all that goes into it. A plan is the list of steps with the
addresses of what they read and write, so what a store already holds need not be made again, a
cost can be told beforehand, and a render that was killed goes on where it stopped. A step's
address does not depend on the range that was asked for, nor on key frames beyond its own ends.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from itertools import pairwise

from engine.errors import InvalidValueError
from engine.settings import RenderSettings, TranslationSettings
from engine.types import FrameRange, KeyFrame

Address = str

METHOD_VERSION = 5
"""Part of every address: raise it when the same inputs give another picture."""

OWN_SETTINGS = tuple(
    field.name
    for field in fields(KeyFrame)
    if field.name in {setting.name for setting in fields(TranslationSettings)}
)
"""The settings that a key frame may have for itself."""


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
    depends_on_frame: bool = False
    """The number of the frame decides too, and not only what it shows."""


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
    """With what the key frame sets for itself in place."""
    references: tuple[Painted, ...] = ()
    """What it is painted against: its anchor, then the previous key frame, where that is another
    one."""

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

    @property
    def distance(self) -> int:
        """Frames to the key frame."""
        return abs(self.frame - self.key_frame)


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
    references: Mapping[int, tuple[Painted, ...]]
    """Key frame without a chosen take to what it is painted against now."""
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


def reference_frames(key_frames: Iterable[KeyFrame]) -> dict[int, tuple[int, ...]]:
    """Each key frame of a shot to those that it is painted against: its anchor, then the previous
    key frame, where that is another one.

    The anchor is the last marked key frame before it, else the first of the shot, which is painted
    against none. A marked key frame is itself painted as it were without its mark, so a mark
    changes nothing but the references of those after it. `key_frames` come in the order of time.
    """
    found: dict[int, tuple[int, ...]] = {}
    anchor: int | None = None
    previous: int | None = None
    for key in key_frames:
        found[key.index] = tuple(dict.fromkeys(i for i in (anchor, previous) if i is not None))
        previous = key.index
        if anchor is None or key.anchor:
            anchor = key.index
    return found


def needed_sources(
    frame_range: FrameRange,
    key_frames: Iterable[KeyFrame],
    frames: FrameRange,
    *,
    paints_against_others: bool = False,
    cuts: Iterable[int] = (),
) -> FrameRange | None:
    """The source frames that a plan for `frames` reads, wherever the cuts are; None without keys.

    They reach from the key frame at or before `frames` to the one at or after it, or to the ends
    of the clip where there is none. Key frames that are painted against others need all from the
    earliest of those on: the anchor, each one that has to be painted in turn, and the frames that
    tell whether a cut lies there. `cuts` are those that are known.
    """
    keys = sorted(key_frames, key=lambda key: key.index)
    if not keys:
        return None
    before = max((key.index for key in keys if key.index <= frames.first), default=None)
    after = min((key.index for key in keys if key.index >= frames.last), default=None)
    first = before if before is not None else min(frames.first, keys[0].index)
    last = after if after is not None else max(frames.last, keys[-1].index)
    if paints_against_others:
        shot_first = max((cut for cut in cuts if cut <= first), default=frame_range.first)
        first = _earliest_reference([k for k in keys if shot_first <= k.index <= last], first)
    return FrameRange(max(first, frame_range.first), min(last, frame_range.last))


def _earliest_reference(keys: Sequence[KeyFrame], first: int) -> int:
    """The earliest of `first` and of all that the key frames from there on are painted against, one
    after the other. A chosen take is not painted: its own references are not looked at.
    """
    references = reference_frames(keys)
    needed = {key.index for key in keys if key.index >= first}
    for key in reversed(keys):
        if key.index in needed and key.take is None:
            needed.update(references[key.index])
    return min({first, *needed})


def make_plan(
    facts: SourceFacts,
    key_frames: Sequence[KeyFrame],
    settings: RenderSettings,
    frames: FrameRange,
    recipe_of: Callable[[TranslationSettings], Recipe],
    flow_recipe: str,
    take_of: Callable[[Paint], Address] = lambda paint: paint.address,
) -> Plan:
    """Plans `frames`, in whole intervals: what lies between two key frames is one piece of work.

    `recipe_of` tells what a painter's picture depends on, `flow_recipe` all that optical flow
    depends on besides two frames, `take_of` which take stands for a painting: its own, or one that
    was painted before. Frames whose digest is not known get no steps and no picture, nor do key
    frames that are painted against one of them: a host has not sent them yet.

    Raises InvalidValueError for key frames outside the clip and for two at one frame.
    """
    check_key_frames(facts.frame_range, (key.index for key in key_frames))
    ordered = sorted(key_frames, key=lambda key: key.index)
    builder = _Builder(facts, settings, recipe_of, flow_recipe, take_of)
    paints, takes = builder.paints, builder.takes
    pictures: dict[int, Address] = {}
    intervals: list[Interval] = []
    used: set[int] = set()

    for shot in shots(facts.frame_range, facts.cuts):
        keys = [key for key in ordered if key.index in shot]
        builder.paint(keys)
        indices = [key.index for key in keys if key.index in takes]
        used |= {index for index in indices if index in frames}
        for left, right in pairwise([None, *indices, None]):
            if left is None and right is None:
                continue
            # Where only one key frame gives pictures, nothing is carried further than asked for.
            first = max(shot.first, frames.first) if left is None else left + 1
            last = min(shot.last, frames.last) if right is None else right - 1
            if first > last or first > frames.last or last < frames.first:
                continue
            interval = builder.interval(FrameRange(first, last), left, right)
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
        references=builder.references,
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
    own = {name: value for name in OWN_SETTINGS if (value := getattr(key, name)) is not None}
    settings = replace(settings, **own)
    if not key.prompt_addition:
        return settings
    parts = (part.strip(" ,") for part in (settings.prompt, key.prompt_addition))
    return replace(settings, prompt=", ".join(part for part in parts if part))


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
        take_of: Callable[[Paint], Address],
    ) -> None:
        self.paints: dict[int, Paint] = {}
        self.takes: dict[int, Address] = {}
        self.references: dict[int, tuple[Painted, ...]] = {}
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
        self._take_of = take_of

    def paint(self, keys: Sequence[KeyFrame]) -> None:
        """Plans the takes of a shot's key frames, in the order of time."""
        against = reference_frames(keys)
        for key in keys:
            if key.index not in self._digests:
                continue
            if key.take is not None:
                self.takes[key.index] = key.take
            elif (paint := self._paint(key, against[key.index])) is not None:
                self.references[key.index] = paint.references
                self.takes[key.index] = self._take_of(paint)
                if self.takes[key.index] == paint.address:
                    self.paints[key.index] = paint

    def _paint(self, key: KeyFrame, against: Iterable[int]) -> Paint | None:
        """Paints a key frame against others of its shot; None where one of them is not known."""
        settings = own_settings(key, self._translation)
        recipe = self._recipe_of(settings)
        recipe_address = address_of(
            "take",
            recipe=recipe.text,
            source=self._digests[key.index],
            frame=key.index if recipe.depends_on_frame else None,
            color_space=self._color_space,
            flow=self._flow_recipe if recipe.paints_against_others else None,
        )
        if not recipe.paints_against_others:
            against = ()
        if any(index not in self.takes for index in against):
            return None
        references = tuple(Painted(index, self.takes[index]) for index in against)
        address = recipe_address
        if references:
            address = address_of(
                "take",
                recipe=recipe_address,
                references=[[self._digests[each.frame], each.take] for each in references],
            )
        return Paint(address, key.index, recipe_address, settings, references)

    def interval(self, span: FrameRange, left: int | None, right: int | None) -> Interval:
        forward = self._chain(left, span.indices, Direction.FORWARD)
        backward = self._chain(right, span.indices[::-1], Direction.BACKWARD)
        return Interval(forward, backward, self._blends(forward, backward))

    def _chain(
        self, key: int | None, indices: range, direction: Direction
    ) -> tuple[Propagate, ...]:
        steps: list[Propagate] = []
        if key is None:
            return ()
        previous = self.takes[key]
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
            steps.append(Propagate(address, index, key, self.takes[key], previous, direction))
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
