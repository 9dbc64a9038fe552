"""Guided patch synthesis (section 4.2.1), after EbSynth (Jamriska et al. 2019; Fiser et al. 2016).

Coarse to fine; at each level some search-vote iterations: every pixel takes the best of its
candidate patches, then the patches that overlap vote. A search reads the field as the iteration
before left it, so nothing depends on an order of pixels.

Matching is exact: bytes, integer sums and single IEEE roundings, so every backend gives the same
field. The picture is then made from the style as it came (picture.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.native.parameters import SynthesisParameters
from engine.native.reference.picture import Field, finished_picture, grid_of, size_of
from engine.types import FloatArray

MAX_LEVELS = 3
STRIDES = (1, 4)
"""Distances of the neighbours whose offsets are tried."""
REACHES = (1, 2, 4, 8, 16, 32)
"""Distances from the pixel's own patch within which a random one is tried, in pixels."""
UNSETTLED_ITERATIONS = 1
"""Iterations after which every pixel still searches."""
STYLE_WEIGHT = 1.0
"""Shared by the style's channels."""
TRUSTED = np.float32(0.5)
"""A temporal guide of less confidence has no say; nor has one whose confidence is NaN."""
MAX_COUNT = 65535
MAX_COST = np.float32(2**30)
"""Of one term: above every patch distance, and the sum of three fits 32 bits."""

_GOLDEN_RATIO = 0x9E3779B9

Bytes = NDArray[np.uint8]
Bits = NDArray[np.uint32]


def synthesize(
    style: FloatArray,
    source_guides: Bytes,
    target_guides: Bytes,
    to_source: FloatArray,
    confidence: FloatArray,
    parameters: SynthesisParameters,
    temporal_confidence: FloatArray | None = None,
) -> tuple[FloatArray, Field, FloatArray]:
    """The picture [H, W, 3], the field and its patch errors [H, W].

    As engine.native.kernels.Kernels.synthesize.
    """
    guide_weights = np.array(parameters.guide_weights, np.float32).astype(np.float64)
    weights = np.concatenate([np.full(3, STYLE_WEIGHT / 3), guide_weights])
    unit = float(weights.max())
    scales = np.sqrt(weights / unit)
    style_bytes = np.floor(style.clip(0, 1) * np.float32(255) + np.float32(0.5))
    no_style = np.zeros((*target_guides.shape[:2], 3), np.float32)
    sources = [_scaled(np.dstack([style_bytes, source_guides]), scales)]
    targets = [_scaled(np.dstack([no_style, target_guides]), scales)]
    smallest_side = 2 * parameters.patch_size + 1
    while len(sources) < MAX_LEVELS and _shortest_side(sources[-1], targets[-1]) >= (
        2 * smallest_side
    ):
        sources.append(_halved(sources[-1]))
        targets.append(_halved(targets[-1]))

    if temporal_confidence is None:
        temporal_confidence = np.ones(to_source.shape[:2], np.float32)
    levels = [
        _Level(
            number,
            source,
            target,
            scales,
            unit,
            _sampled(to_source, number),
            _sampled(confidence, number),
            ~(_sampled(temporal_confidence, number) >= TRUSTED),
            max(style.shape[:2]) - 1,
            parameters,
        )
        for number, (source, target) in enumerate(zip(sources, targets, strict=True))
    ]
    field = levels[-1].settle(levels[-1].start())
    for level in reversed(levels[:-1]):
        field = level.settle(_upsampled(field, level))
    patch_error = (levels[0].distances(field) * unit).astype(np.float32)
    picture = finished_picture(style, field, to_source, parameters.patch_size)
    return picture, field, patch_error


@dataclass
class _Level:
    """One size of the pyramid.

    Channels are bytes scaled by the root of their weight: a plain sum of squared differences is
    then the weighted one. The style stands first.
    """

    number: int
    source: Bytes  # [Hs, Ws, 3 + G]
    target: Bytes  # [H, W, 3 + G]; its style is the present estimate
    scales: NDArray[np.float64]
    unit: float
    displacement: FloatArray  # [H, W, 2] to the source, in pixels of the full size
    confidence: FloatArray  # [H, W] of the displacement
    untrusted: NDArray[np.bool_]  # [H, W] where the temporal guide has no say
    longest_way: int  # along the longer side of the source at full size
    parameters: SynthesisParameters

    def settle(self, coarser: Field) -> Field:
        """Improves the field that the flow gives by search and vote.

        What the coarser level found stays a candidate.
        """
        field = self.start()
        self.vote(field)
        live = np.ones(field.shape[:2], bool)
        for iteration in range(self.parameters.search_vote_iterations):
            field = np.where(live[..., None], self.searched(field, coarser, iteration), field)
            changed = self.vote(field)
            if iteration >= UNSETTLED_ITERATIONS:
                live = _dilated(changed, self.parameters.patch_size // 2)
            if not live.any():
                break
        return field

    def start(self) -> Field:
        """The source pixels next to where the flow leads."""
        return np.asarray(np.floor(self.positions + np.float32(0.5)), np.int32)

    @cached_property
    def positions(self) -> FloatArray:
        """[H, W, 2] where the flow leads from each pixel of this level, inside the source."""
        here = grid_of(*self.target.shape[:2])
        moved = here.astype(np.float32) + self.displacement / np.float32(2**self.number)
        return np.asarray(moved.clip(0, size_of(self.source) - 1), np.float32)

    @cached_property
    def position_costs(self) -> FloatArray:
        """[H, W] what a patch costs that lies one pixel of this level away from the flow.

        The position guide holds coordinates, 0..255 along the longer side of the source, but
        never rounded; each axis weighs half.
        """
        pixel = 255.0 / max(self.longest_way, 1) * 2**self.number
        weight = float(np.float32(self.parameters.position_weight)) / 2 / self.unit
        cost = np.float32(self.parameters.patch_size**2 * weight * (pixel * pixel))
        return np.asarray(cost * self.confidence, np.float32)

    def searched(self, field: Field, coarser: Field, iteration: int) -> Field:
        """Each pixel's best candidate; of equal ones the first."""
        occupancy = self.occupancy(field)
        best, best_cost = field, self.cost(field, field, occupancy)
        for candidate in self.candidates(field, coarser, iteration):
            inside = candidate.clip(0, size_of(self.source) - 1).astype(np.int32)
            cost = self.cost(inside, field, occupancy)
            better = cost < best_cost
            best = np.where(better[..., None], inside, best)
            best_cost = np.where(better, cost, best_cost)
        return best

    def candidates(self, field: Field, coarser: Field, iteration: int) -> Iterator[Field]:
        yield coarser
        here = grid_of(*field.shape[:2])
        for stride in STRIDES:
            for step in ((-stride, 0), (stride, 0), (0, -stride), (0, stride)):
                neighbour = (here + step).clip(0, size_of(self.target) - 1)
                yield field[neighbour[..., 1], neighbour[..., 0]] + here - neighbour
        counter = self.number * self.parameters.search_vote_iterations + iteration
        key = _random_bits(_bits(self.parameters.seed + _GOLDEN_RATIO * (counter + 1)))
        counters = _random_bits(key ^ _bits(here[..., 1] << 16 | here[..., 0]))
        for reach in REACHES:
            counters = counters + _bits(_GOLDEN_RATIO)
            side = 2 * reach + 1
            yield field + _random_pair(_random_bits(counters), np.array([side, side])) - reach
        counters = counters + _bits(_GOLDEN_RATIO)
        yield _random_pair(_random_bits(counters), size_of(self.source))

    def cost(
        self, wanted: Field, current: Field, occupancy: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """[H, W] what speaks against the patches: difference, overuse, distance from the flow."""
        overuse = self.uniformity(occupancy, wanted, current)
        return self.distances(wanted) + _cost_term(overuse) + _cost_term(self.deviations(wanted))

    def distances(self, field: Field) -> NDArray[np.int64]:
        """[H, W] sum of the squared differences of each target patch and its source patch."""
        source = _patches(self.source, self.parameters.patch_size)
        target = _patches(self.target, self.parameters.patch_size).astype(np.int32)
        apart = target - source[field[..., 1], field[..., 0]]
        return np.asarray((apart**2).sum((2, 3, 4), dtype=np.int64))

    def deviations(self, field: Field) -> FloatArray:
        """[H, W] the cost of lying away from the flow: the position guide."""
        x, y = np.moveaxis(field.astype(np.float32) - self.positions, -1, 0)
        return np.asarray((x * x + y * y) * self.position_costs, np.float32)

    def occupancy(self, field: Field) -> NDArray[np.int64]:
        """[Hs, Ws] how often the pixels of each source patch are used by target patches."""
        counts = np.zeros(self.source.shape[:2], np.int64)
        np.add.at(counts, (field[..., 1], field[..., 0]), 1)
        counts = np.minimum(counts, MAX_COUNT)
        reach = self.parameters.patch_size - 1
        padded = np.pad(counts, reach)
        height, width = self.source.shape[:2]
        uses = np.zeros_like(counts)
        for dy, dx in product(range(-reach, reach + 1), repeat=2):
            shifted = padded[reach + dy :, reach + dx :][:height, :width]
            uses += _overlap(self.parameters.patch_size, dx, dy) * shifted
        return uses

    def uniformity(self, occupancy: NDArray[np.int64], wanted: Field, current: Field) -> FloatArray:
        """[H, W] the cost of patches that are used already, the pixel's own use left out."""
        uses = occupancy[wanted[..., 1], wanted[..., 0]]
        apart = np.abs(wanted - current)
        uses = uses - _overlap(self.parameters.patch_size, apart[..., 0], apart[..., 1])
        fair_share = self.target[..., 0].size / self.source[..., 0].size
        cost = float(np.float32(self.parameters.uniformity)) / self.unit
        cost_per_use = cost / (float(self.parameters.patch_size) ** 4 * fair_share)
        return uses.astype(np.float32) * np.float32(cost_per_use)

    def vote(self, field: Field) -> NDArray[np.bool_]:
        """Sets the target's style to the rounded mean of the patches that overlap there.

        The temporal guide, the last three channels, follows where it is not trusted: it agrees
        there with whatever is made. Returns where the channels of the style together changed by the
        stop threshold or more.
        """
        voted = self.voted(slice(3), field)
        if self.untrusted.any():
            temporal = self.target[..., -3:]
            voted_temporal = self.voted(slice(-3, None), field)
            temporal[self.untrusted] = voted_temporal[self.untrusted]
        change = np.abs(voted.astype(np.int32) - self.target[..., :3])
        self.target[..., :3] = voted
        threshold = np.floor(self.parameters.stop_threshold * self.scales[0] + 0.5)
        return np.asarray(change.sum(axis=-1) >= max(1, threshold))

    def voted(self, channels: slice, field: Field) -> Bytes:
        mean = _mean_of_patches(self.source[..., channels], field, self.parameters.patch_size)
        return np.floor(mean + 0.5).astype(np.uint8)


def _mean_of_patches(style: Bytes, field: Field, size: int) -> NDArray[np.float64]:
    """[H, W, 3] what the patches that overlap say of each pixel, in the mean."""
    height, width = field.shape[:2]
    here = grid_of(height, width)
    sums = np.zeros((height, width, 3))
    totals = np.zeros((height, width, 1))
    for step in product(range(-(size // 2), size // 2 + 1), repeat=2):
        neighbour = here + step[::-1]
        inside = ((neighbour >= 0) & (neighbour < (width, height))).all(-1, keepdims=True)
        x, y = np.moveaxis(neighbour.clip(0, (width - 1, height - 1)), -1, 0)
        origin = (field[y, x] - step[::-1]).clip(0, size_of(style) - 1)
        sums += inside * style[origin[..., 1], origin[..., 0]]
        totals += inside
    return sums / totals


def _cost_term(value: FloatArray) -> NDArray[np.int64]:
    return np.minimum(value, MAX_COST).astype(np.int64)


def _sampled(full: FloatArray, number: int) -> FloatArray:
    """What an array of the full size holds at the pixels of a level."""
    height, width = full.shape[:2]
    factor = 2**number
    y, x = (
        np.minimum(np.arange(-(-side // factor)) * factor + factor // 2, side - 1)
        for side in (height, width)
    )
    return full[np.ix_(y, x)]


def _upsampled(coarse: Field, level: _Level) -> Field:
    here = grid_of(*level.target.shape[:2])
    fine = 2 * coarse[here[..., 1] // 2, here[..., 0] // 2] + here % 2
    return np.asarray(np.minimum(fine, size_of(level.source) - 1).astype(np.int32))


def _random_bits(counters: Bits) -> Bits:
    """The finalizer of MurmurHash3: random bits from counters."""
    bits = (counters ^ (counters >> 16)) * _bits(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * _bits(0xC2B2AE35)
    return np.asarray(bits ^ (bits >> 16))


def _random_pair(bits: Bits, limits: NDArray[np.int_]) -> Field:
    """[H, W, 2] two numbers from 0 to less than their limit, out of 32 random bits."""
    halves = np.stack([bits & 0xFFFF, bits >> 16], axis=-1).astype(np.int64)
    return np.asarray((halves * limits >> 16).astype(np.int32))


def _bits(value: int | NDArray[np.int32]) -> Bits:
    """As unsigned 32 bits that wrap around; an array, because NumPy warns of scalars that do."""
    return np.atleast_1d(np.asarray(value, np.int64) & 0xFFFFFFFF).astype(np.uint32)


def _overlap(size: int, dx: Field | int, dy: Field | int) -> NDArray[np.int64]:
    """How many pixels two patches share whose centres are dx, dy apart."""
    return np.asarray(np.maximum(size - np.abs(dx), 0) * np.maximum(size - np.abs(dy), 0))


def _patches(channels: Bytes, size: int) -> Bytes:
    """[H, W, C, size, size] the patch around each pixel, with replicated borders."""
    radius = size // 2
    padded = np.pad(channels, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    return sliding_window_view(padded, (size, size), axis=(0, 1))


def _dilated(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    padded = np.pad(mask, radius)
    windows = sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(windows.any((2, 3)))


def _scaled(channels: NDArray[np.float32], scales: NDArray[np.float64]) -> Bytes:
    return np.asarray(np.floor(channels * scales + 0.5).astype(np.uint8))


def _halved(image: Bytes) -> Bytes:
    """Half the size, rounded up: each pixel the rounded mean of four."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.int32)
    quads = even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]
    return np.asarray(((quads + 2) // 4).astype(np.uint8))


def _shortest_side(source: Bytes, target: Bytes) -> int:
    return int(min(*source.shape[:2], *target.shape[:2]))
