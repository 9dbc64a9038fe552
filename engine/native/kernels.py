"""The native kernels: what propagation computes, on the processor or on a CUDA device.

Arrays stay where they are computed on: pictures are uploaded once, and only results come back.
engine/native/reference says in NumPy what each function does.
"""

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.errors import InbetweenError, InvalidValueError
from engine.native import abi
from engine.native.parameters import SynthesisParameters
from engine.wording import plural

RELATIVE_TOLERANCE = 0.01
ABSOLUTE_TOLERANCE_PIXELS = 0.5
WIDENED_PIXELS = 9


class InstructionSet(IntEnum):
    """What the processor matches patches with. The result is the same, bit for bit."""

    BEST = 0
    """The fastest that this processor has."""
    PLAIN = 1
    AVX2 = 2
    AVX512 = 3


class CudaArray(Protocol):
    """An array on a CUDA device that another library made, a torch tensor for example."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


class DeviceArray:
    """A C-contiguous array in the memory of the kernels that made it."""

    def __init__(
        self, shape: tuple[int, ...], dtype: DTypeLike, pointer: int, owner: object
    ) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.pointer = pointer
        self.owner = owner
        """Keeps the memory alive; on the processor the NumPy array itself."""

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """How torch and others take an array of a CUDA device without a copy."""
        if isinstance(self.owner, np.ndarray):
            raise AttributeError("An array of the processor has no CUDA interface.")
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
        }


@dataclass(frozen=True)
class DeviceFlow:
    """Optical flow: what is at p in the one frame is at p + displacement in the other."""

    displacement: DeviceArray
    """[H, W, 2] float32, x then y."""
    confidence: DeviceArray
    """[H, W] float32: 1 is trusted, 0 is not."""


@dataclass(frozen=True)
class SynthesisTask:
    """A key frame's style, to be carried to another frame.

    The style is matched within 0..1 and carried at any value. With `temporal_confidence` the last
    three guides are the temporal ones, which have no say where it is below a half.
    """

    style: DeviceArray
    """[Hs, Ws, 3] float32."""
    source_guides: DeviceArray
    """[Hs, Ws, G] uint8: what the key frame looks like."""
    target_guides: DeviceArray
    """[H, W, G] uint8: what the frame looks like."""
    to_source: DeviceFlow
    """[H, W]: from the frame to the key frame."""
    parameters: SynthesisParameters
    temporal_confidence: DeviceArray | None = None
    """[H, W] float32."""

    @property
    def checked_size(self) -> tuple[int, int]:
        """Height and width of the frame. Raises InvalidValueError for arrays that do not fit."""
        _expect("style", self.style, np.float32, (None, None, 3))
        source_size = self.style.shape[:2]
        height, width = _expect_flow("to_source", self.to_source)
        channels = len(self.parameters.guide_weights)
        _expect("source_guides", self.source_guides, np.uint8, (*source_size, channels))
        _expect("target_guides", self.target_guides, np.uint8, (height, width, channels))
        if self.temporal_confidence is not None:
            _expect("temporal_confidence", self.temporal_confidence, np.float32, (height, width))
        return height, width


@dataclass(frozen=True)
class DeviceSynthesis:
    """A key frame's style carried to another frame."""

    picture: DeviceArray
    """[H, W, 3] float32, painting space."""
    source_xy: DeviceArray
    """[H, W, 2] int32: where each pixel's patch comes from in the key frame, x then y."""
    patch_error: DeviceArray
    """[H, W] float32: the weighted squared differences of the patch, in units of 1/255."""


@dataclass(frozen=True)
class Side:
    """What one key frame gives for a frame."""

    picture: DeviceArray
    """[H, W, 3] float32, painting space."""
    patch_error: DeviceArray
    """[H, W] float32."""
    distance: int
    """Frames to the key frame, 1 or more."""


class Kernels:
    """The kernels of one backend with its memory. Calls of several threads take turns.

    Every function raises InvalidValueError for arrays that do not fit together and parameters out
    of range, and OutOfMemoryError. On CUDA it returns once its work is queued.
    """

    def __init__(self, library: ctypes.CDLL, device: abi.Device, *, name: str) -> None:
        self.name = name
        """Of the device, for people."""
        self._library = library
        self._context = ctypes.c_void_p()
        self._lock = threading.Lock()
        self._unused: deque[ctypes.c_void_p] = deque()
        """Memory that nobody holds any more."""
        self._call("inbetween_open", ctypes.byref(device), ctypes.byref(self._context))
        weakref.finalize(self, library.inbetween_close, self._context)

    @staticmethod
    def open(device: str = "auto") -> "Kernels":
        """On the processor ("cpu"), a GPU ("cuda" or "cuda:1"), or what there is ("auto").

        Raises InvalidValueError for another word, InbetweenError for a GPU that is not there.
        """
        if device == "auto":
            device = "cuda" if cuda_device_count() else "cpu"
        if device == "cpu":
            return processor()
        kind, _, index = device.partition(":")
        if kind != "cuda" or not (index or "0").isdecimal():
            raise InvalidValueError(
                f'The device is "{device}": choose auto, cpu, cuda or cuda:1 for the second card.'
            )
        return Kernels.cuda(int(index or 0))

    @staticmethod
    def processor(
        threads: int = 0, instruction_set: InstructionSet = InstructionSet.BEST
    ) -> "Kernels":
        """On the processor, with so many threads (0: one per core).

        The results depend neither on the threads nor on the instruction set.
        """
        library = abi.load_library("inbetween_kernels")
        device = abi.Device(index=0, threads=threads, instruction_set=instruction_set, stream=None)
        return _ProcessorKernels(library, device, name=_device_name(library, 0))

    @staticmethod
    def cuda(index: int = 0, stream: int | None = None) -> "Kernels":
        """On a CUDA device, queueing on the stream (None: one of its own).

        Raises InbetweenError where there is no such device.
        """
        library = abi.load_library("inbetween_kernels_cuda")
        count = library.inbetween_device_count()
        if not 0 <= index < count:
            raise InbetweenError(
                f"There is no CUDA device {index} ({plural(count, 'device')} found). Render on the "
                "processor, or look whether `nvidia-smi` lists the card."
            )
        best = InstructionSet.BEST
        device = abi.Device(index=index, threads=0, instruction_set=best, stream=stream)
        return Kernels(library, device, name=_device_name(library, index))

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        """A copy on the device; on the processor the array itself, which must not change."""
        contiguous = np.ascontiguousarray(array)
        uploaded = self.empty(contiguous.shape, contiguous.dtype)
        self._call(
            "inbetween_upload",
            self._context,
            ctypes.c_void_p(uploaded.pointer),
            ctypes.c_void_p(contiguous.ctypes.data),
            ctypes.c_uint64(uploaded.nbytes),
        )
        return uploaded

    def download(self, array: DeviceArray) -> NDArray[Any]:
        """The array in NumPy, once everything queued before is done."""
        downloaded = np.empty(array.shape, array.dtype)
        self._call(
            "inbetween_download",
            self._context,
            ctypes.c_void_p(downloaded.ctypes.data),
            ctypes.c_void_p(array.pointer),
            ctypes.c_uint64(array.nbytes),
        )
        return downloaded

    def adopt(self, array: CudaArray) -> DeviceArray:
        """An array of another library on this device, without a copy."""
        interface = array.__cuda_array_interface__
        if interface.get("strides") is not None:
            raise InvalidValueError("The array has strides: make it contiguous.")
        return DeviceArray(interface["shape"], interface["typestr"], interface["data"][0], array)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> DeviceArray:
        """An array that holds nothing useful yet."""
        pointer = ctypes.c_void_p()
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._call(
            "inbetween_allocate", self._context, ctypes.c_uint64(nbytes), ctypes.byref(pointer)
        )
        return DeviceArray(shape, dtype, pointer.value or 0, _Memory(self, pointer))

    def finish(self) -> None:
        """Waits until everything queued is done, and raises what went wrong there."""
        self._call("inbetween_finish", self._context)

    def warp(self, image: DeviceArray, displacement: DeviceArray) -> DeviceArray:
        """`image` [h, w] or [h, w, C] sampled at p + displacement(p): [H, W] or [H, W, C].

        Bilinear; outside the image its border goes on.
        """
        _expect("displacement", displacement, np.float32, (None, None, 2))
        _expect("image", image, np.float32, (None, None, *image.shape[2:3]))
        height, width = displacement.shape[:2]
        warped = self.empty((height, width, *image.shape[2:]))
        channels = image.shape[2] if len(image.shape) == 3 else 1
        image_height, image_width = image.shape[:2]
        self._run(
            abi.Warp(
                image_width=image_width,
                image_height=image_height,
                width=width,
                height=height,
                channels=channels,
                image=image.pointer,
                displacement=displacement.pointer,
                warped=warped.pointer,
            )
        )
        return warped

    def compose(self, first: DeviceFlow, second: DeviceFlow) -> DeviceFlow:
        """The flow from a to c, of the flows from a to b and from b to c of the same size."""
        height, width = _expect_flow("first", first)
        _expect_flow("second", second, (height, width))
        composed = DeviceFlow(self.empty((height, width, 2)), self.empty((height, width)))
        self._run(
            abi.Composition(
                width=width,
                height=height,
                first=first.displacement.pointer,
                first_confidence=first.confidence.pointer,
                second=second.displacement.pointer,
                second_confidence=second.confidence.pointer,
                composed=composed.displacement.pointer,
                confidence=composed.confidence.pointer,
            )
        )
        return composed

    def trusted(self, forward: DeviceArray, backward: DeviceArray) -> DeviceFlow:
        """`forward` [H, W, 2] with its confidence, found by the flow `backward` that leads back."""
        _expect("forward", forward, np.float32, (None, None, 2))
        _expect("backward", backward, np.float32, forward.shape)
        height, width = forward.shape[:2]
        confidence = self.empty((height, width))
        self._run(
            abi.Confidence(
                width=width,
                height=height,
                relative_tolerance=RELATIVE_TOLERANCE,
                absolute_tolerance=ABSOLUTE_TOLERANCE_PIXELS,
                widened=WIDENED_PIXELS,
                forward=forward.pointer,
                backward=backward.pointer,
                confidence=confidence.pointer,
            )
        )
        return DeviceFlow(forward, confidence)

    def guides(self, source: DeviceArray, temporal: DeviceArray) -> DeviceArray:
        """The guides [H, W, 9] of a frame of the source [H, W, 3]: colour, edges, temporal.

        `temporal` [H, W, 3] is the picture made for the frame before, brought here; at the key
        frame it is the take.
        """
        _expect("source", source, np.float32, (None, None, 3))
        height, width = source.shape[:2]
        _expect("temporal", temporal, np.float32, (height, width, 3))
        guides = self.empty((height, width, 9), np.uint8)
        self._run(
            abi.Guides(
                width=width,
                height=height,
                source=source.pointer,
                temporal=temporal.pointer,
                guides=guides.pointer,
            )
        )
        return guides

    def synthesize(self, tasks: Sequence[SynthesisTask]) -> list[DeviceSynthesis]:
        """Does tasks that do not need each other side by side; each as it would be done alone."""
        made = [self._room_for(task) for task in tasks]
        weights = [np.array(task.parameters.guide_weights, np.float32) for task in tasks]
        calls = list(map(_synthesis, tasks, weights, made))
        for first in range(0, len(calls), abi.MOST_SYNTHESES):
            some = calls[first : first + abi.MOST_SYNTHESES]
            parameters = (abi.Synthesis * len(some))(*some)
            self._call("inbetween_synthesize", self._context, parameters, len(some))
        return made

    def _room_for(self, task: SynthesisTask) -> DeviceSynthesis:
        height, width = task.checked_size
        return DeviceSynthesis(
            self.empty((height, width, 3)),
            self.empty((height, width, 2), np.int32),
            self.empty((height, width)),
        )

    def choose(self, left: Side, right: Side, carried: DeviceArray | None = None) -> DeviceArray:
        """The side of each pixel, [H, W]: 0 is left, 1 is right.

        `carried` [H, W] is the choice of the frame before, brought here along the flow: a pixel
        keeps its side until the other is clearly better.
        """
        return self._blend(left, right, carried, picture=None)

    def blend(
        self, left: Side, right: Side, carried: DeviceArray | None = None
    ) -> tuple[DeviceArray, DeviceArray]:
        """The choice [H, W] and the mix of both sides [H, W, 3] with its colours and contrast."""
        picture = self.empty(left.picture.shape)
        return self._blend(left, right, carried, picture), picture

    def _blend(
        self, left: Side, right: Side, carried: DeviceArray | None, picture: DeviceArray | None
    ) -> DeviceArray:
        height, width = left.picture.shape[:2]
        for name, side in (("left", left), ("right", right)):
            _expect(f"the {name} picture", side.picture, np.float32, (height, width, 3))
            _expect(f"the {name} error", side.patch_error, np.float32, (height, width))
        if carried is not None:
            _expect("carried", carried, np.float32, (height, width))
        choice = self.empty((height, width))
        self._run(
            abi.Blend(
                width=width,
                height=height,
                left_distance=left.distance,
                right_distance=right.distance,
                left_picture=left.picture.pointer,
                left_error=left.patch_error.pointer,
                right_picture=right.picture.pointer,
                right_error=right.patch_error.pointer,
                carried=carried and carried.pointer,
                choice=choice.pointer,
                picture=picture and picture.pointer,
            )
        )
        return choice

    def poisson(
        self, picture: DeviceArray, left: Side, right: Side, choice: DeviceArray, screening: float
    ) -> DeviceArray:
        """The picture [H, W, 3] closest to `picture` with the gradients of the chosen sides.

        `screening`, above 0, weighs the colours against the gradients.
        """
        height, width = picture.shape[:2]
        for name, array in (("left", left.picture), ("right", right.picture), ("", picture)):
            _expect(f"the {name} picture", array, np.float32, (height, width, 3))
        _expect("choice", choice, np.float32, (height, width))
        solved = self.empty(picture.shape)
        self._run(
            abi.Poisson(
                width=width,
                height=height,
                screening=screening,
                picture=picture.pointer,
                left_picture=left.picture.pointer,
                right_picture=right.picture.pointer,
                choice=choice.pointer,
                solved=solved.pointer,
            )
        )
        return solved

    def nearest_half(self, values: DeviceArray) -> DeviceArray:
        """Each value as a picture of half precision holds it, in 32 bits still."""
        _expect("values", values, np.float32, (None,) * len(values.shape))
        halves = self.empty(values.shape)
        count = int(np.prod(values.shape))
        self._run(abi.Halves(count=count, values=values.pointer, halves=halves.pointer))
        return halves

    def release(self, pointer: ctypes.c_void_p) -> None:
        """Gives back memory that `empty` gave; arrays do it by themselves.

        Nothing is waited for: a garbage collection may come in the middle of a call, whose thread
        would wait for itself. A call that goes on gives the memory back when it is over.
        """
        self._unused.append(pointer)
        self._release_unused()

    def _run(self, parameters: abi.Parameters) -> None:
        self._call(parameters.function, self._context, ctypes.byref(parameters))

    def _call(self, function: str, *arguments: object) -> None:
        try:
            with self._lock:
                abi.call(self._library, function, *arguments)
        finally:
            self._release_unused()

    def _release_unused(self) -> None:
        """Looks again after each turn: who came meanwhile has left its memory and gone on."""
        while self._unused and self._lock.acquire(blocking=False):
            try:
                if self._unused:  # or another thread was quicker
                    self._library.inbetween_release(self._context, self._unused.popleft())
            finally:
                self._lock.release()


class _ProcessorKernels(Kernels):
    """Its memory is NumPy's."""

    def upload(self, array: NDArray[Any]) -> DeviceArray:
        contiguous = np.ascontiguousarray(array)
        return DeviceArray(contiguous.shape, contiguous.dtype, contiguous.ctypes.data, contiguous)

    def download(self, array: DeviceArray) -> NDArray[Any]:
        if not isinstance(array.owner, np.ndarray):
            return super().download(array)
        return array.owner

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> DeviceArray:
        return self.upload(np.empty(shape, dtype))


class _Memory:
    """Memory of a device, given back when nobody holds it any more."""

    def __init__(self, kernels: Kernels, pointer: ctypes.c_void_p) -> None:
        weakref.finalize(self, kernels.release, pointer)


@cache
def processor() -> Kernels:
    """The kernels of the processor, for whoever needs no threads of their own."""
    return Kernels.processor()


def best_instruction_set() -> InstructionSet:
    """What InstructionSet.BEST stands for on this processor."""
    library = abi.load_library("inbetween_kernels")
    return InstructionSet(library.inbetween_best_instruction_set())


def cuda_device_count() -> int:
    """How many CUDA devices there are; 0 without driver, card or CUDA kernels."""
    try:
        return int(abi.load_library("inbetween_kernels_cuda").inbetween_device_count())
    except InbetweenError:
        return 0


def _device_name(library: ctypes.CDLL, index: int) -> str:
    name = ctypes.create_string_buffer(256)
    abi.call(library, "inbetween_device_name", index, name, len(name))
    return name.value.decode(errors="replace")


def _synthesis(
    task: SynthesisTask, weights: NDArray[np.float32], made: DeviceSynthesis
) -> abi.Synthesis:
    """The call for a task, whose weights have to be kept until it is over."""
    source_height, source_width = task.style.shape[:2]
    height, width = made.patch_error.shape
    parameters, trust = task.parameters, task.temporal_confidence
    return abi.Synthesis(
        source_width=source_width,
        source_height=source_height,
        target_width=width,
        target_height=height,
        guide_channels=len(weights),
        patch_size=parameters.patch_size,
        search_vote_iterations=parameters.search_vote_iterations,
        stop_threshold=parameters.stop_threshold,
        seed=parameters.seed,
        uniformity=parameters.uniformity,
        position_weight=parameters.position_weight,
        guide_weights=weights.ctypes.data,
        style=task.style.pointer,
        source_guides=task.source_guides.pointer,
        target_guides=task.target_guides.pointer,
        to_source=task.to_source.displacement.pointer,
        confidence=task.to_source.confidence.pointer,
        temporal_confidence=trust and trust.pointer,
        picture=made.picture.pointer,
        source_xy=made.source_xy.pointer,
        patch_error=made.patch_error.pointer,
    )


def _expect_flow(
    name: str, flow: DeviceFlow, size: tuple[int | None, int | None] = (None, None)
) -> tuple[int, int]:
    _expect(f"{name}'s displacement", flow.displacement, np.float32, (*size, 2))
    height, width = flow.displacement.shape[:2]
    _expect(f"{name}'s confidence", flow.confidence, np.float32, (height, width))
    return height, width


def _expect(name: str, array: DeviceArray, dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(shape) and all(
        wanted is None or wanted == side for wanted, side in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise InvalidValueError(
            f"{name} is {array.dtype} {list(array.shape)}: give {np.dtype(dtype)} [{wanted}]."
        )
