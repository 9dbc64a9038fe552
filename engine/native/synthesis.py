"""Guided patch synthesis by the native kernels (section 4.2, after EbSynth)."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engine.errors import InbetweenError, InvalidValueError, OutOfMemoryError
from engine.native.library import NativeSynthesis, load_library
from engine.types import CorrespondenceField, FloatArray

MAX_SIDE = 32767
MAX_GUIDE_CHANNELS = 61


class InstructionSet(IntEnum):
    """What the matching is computed with. The result is the same, bit for bit."""

    BEST = 0
    """The fastest that this processor has."""
    PLAIN = 1
    AVX2 = 2
    AVX512 = 3


@dataclass(frozen=True)
class SynthesisParameters:
    """How patches are searched and voted."""

    patch_size: int = 5
    """Side of a patch in pixels, odd, 3 to 15."""
    uniformity: float = 3500.0
    """What a patch costs whose pixels are used once per fair share; 0 or more."""
    search_vote_iterations: int = 6
    """Per level of the pyramid, 1 to 100; a level that settles earlier ends earlier."""
    threads: int = 0
    """0: one per processor. The result does not depend on it."""
    seed: int = 0
    """Of the random candidates, 0 to 2**32 - 1."""
    instruction_set: InstructionSet = InstructionSet.BEST
    """Tests and benchmarks choose one; the result does not depend on it."""


@dataclass(frozen=True)
class Synthesis:
    """A key frame's style carried to another frame."""

    picture: FloatArray
    """[H, W, 3], painting space."""
    field: CorrespondenceField
    """For each pixel, where its patch comes from and how badly it fits: the sum over the patch of
    the weighted squared differences, in units of 1/255."""


def synthesize(
    style: FloatArray,
    source_guides: NDArray[np.uint8],
    target_guides: NDArray[np.uint8],
    guide_weights: FloatArray,
    initial_xy: FloatArray,
    parameters: SynthesisParameters,
) -> Synthesis:
    """Carries `style` to the frame that `target_guides` describe.

    style          [Hs, Ws, 3] the key frame's take, painting space; matched within 0..1, carried
                   at any value
    source_guides  [Hs, Ws, G] guides at the key frame
    target_guides  [H, W, G] guides at the frame
    guide_weights  [G] weight of each channel, 0 or more; the style weighs 1/3 per channel
    initial_xy     [H, W, 2] position in the key frame by composed flow, x then y

    Raises InvalidValueError for arrays that do not fit together and values that are not finite.
    """
    check_arrays(style, source_guides, target_guides, guide_weights, initial_xy)
    check_parameters(parameters)
    source_height, source_width = style.shape[:2]
    height, width, guide_channels = target_guides.shape
    picture = np.empty((height, width, 3), np.float32)
    source_xy = np.empty((height, width, 2), np.int32)
    patch_error = np.empty((height, width), np.float32)
    inputs = [
        np.ascontiguousarray(array)
        for array in (style, source_guides, target_guides, guide_weights, initial_xy)
    ]
    _call(
        NativeSynthesis(
            source_width,
            source_height,
            width,
            height,
            guide_channels,
            parameters.patch_size,
            parameters.search_vote_iterations,
            parameters.threads,
            parameters.instruction_set,
            parameters.seed,
            parameters.uniformity,
            *(array.ctypes.data for array in (*inputs, picture, source_xy, patch_error)),
        )
    )
    return Synthesis(picture, CorrespondenceField(source_xy, patch_error))


def best_instruction_set() -> InstructionSet:
    """What InstructionSet.BEST stands for on this processor."""
    return InstructionSet(load_library().inbetween_best_instruction_set())


def check_arrays(
    style: FloatArray,
    source_guides: NDArray[np.uint8],
    target_guides: NDArray[np.uint8],
    guide_weights: FloatArray,
    initial_xy: FloatArray,
) -> None:
    """Raises InvalidValueError unless the arrays are what synthesize() describes."""
    _check_array("style", style, np.float32, (None, None, 3))
    _check_array("target_guides", target_guides, np.uint8, (None, None, None))
    height, width, guide_channels = target_guides.shape
    _check_array("source_guides", source_guides, np.uint8, (*style.shape[:2], guide_channels))
    _check_array("guide_weights", guide_weights, np.float32, (guide_channels,))
    _check_array("initial_xy", initial_xy, np.float32, (height, width, 2))
    for name, size in (("style", style.shape[:2]), ("target_guides", (height, width))):
        if not all(1 <= side <= MAX_SIDE for side in size):
            raise InvalidValueError(
                f"{name} has {size[1]}x{size[0]} pixels: choose sides of 1 to {MAX_SIDE}."
            )
    if not 1 <= guide_channels <= MAX_GUIDE_CHANNELS:
        raise InvalidValueError(
            f"There are {guide_channels} guide channels: choose 1 to {MAX_GUIDE_CHANNELS}."
        )
    for name, values in (("style", style), ("initial_xy", initial_xy)):
        if not np.isfinite(values).all():
            raise InvalidValueError(f"{name} holds a value that is not finite.")
    if not (np.isfinite(guide_weights).all() and (guide_weights >= 0).all()):
        raise InvalidValueError(
            f"guide_weights are {guide_weights.tolist()}: choose finite numbers of 0 or more."
        )


def check_parameters(parameters: SynthesisParameters) -> None:
    """Raises InvalidValueError for a value outside its range."""
    allowed: dict[str, tuple[Callable[[float], bool], str]] = {
        "patch_size": (lambda v: v in range(3, 16, 2), "an odd number from 3 to 15"),
        "uniformity": (lambda v: 0 <= v < np.inf, "a finite number of 0 or more"),
        "search_vote_iterations": (lambda v: v in range(1, 101), "1 to 100"),
        "threads": (lambda v: v in range(1025), "0 to 1024"),
        "seed": (lambda v: v in range(2**32), "0 to 2**32 - 1"),
    }
    for name, (is_allowed, choice) in allowed.items():
        value = getattr(parameters, name)
        if not is_allowed(value):
            raise InvalidValueError(f"{name} is {value}: choose {choice}.")
    best = best_instruction_set()
    if parameters.instruction_set > best:
        raise InvalidValueError(
            f"instruction_set is {parameters.instruction_set.name}: this processor has "
            f"{best.name} at best."
        )


def _check_array(
    name: str, array: NDArray[np.generic], dtype: type, shape: tuple[int | None, ...]
) -> None:
    fits = array.ndim == len(shape) and all(
        wanted is None or wanted == side for wanted, side in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise InvalidValueError(
            f"{name} is {array.dtype} {list(array.shape)}: give {np.dtype(dtype)} [{wanted}]."
        )


def _call(parameters: NativeSynthesis) -> None:
    library = load_library()
    status: int = library.inbetween_synthesize(ctypes.byref(parameters))
    if status == 0:
        return
    errors = {1: InvalidValueError, 2: OutOfMemoryError}
    raise errors.get(status, InbetweenError)(library.inbetween_last_error().decode())
