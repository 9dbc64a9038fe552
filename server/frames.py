"""Frames on the wire: a header, then the pixels in pieces of at most 1 MiB."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from inbetween.v1.frame_pb2 import (
    Alpha as AlphaMessage,
)
from inbetween.v1.frame_pb2 import (
    FrameHeader,
    FramePiece,
    PixelType,
)
from inbetween.v1.frame_pb2 import FrameSize as FrameSizeMessage
from numpy.typing import NDArray

from engine.errors import InvalidValueError
from engine.types import Alpha, FloatArray, Frame, FrameSize, Precision
from server.pictures import check_size

PIECE_BYTES = 1 << 20

ALPHA_OF: Mapping[int, Alpha] = {
    AlphaMessage.ALPHA_OPAQUE: Alpha.OPAQUE,
    AlphaMessage.ALPHA_PREMULTIPLIED: Alpha.PREMULTIPLIED,
    AlphaMessage.ALPHA_STRAIGHT: Alpha.STRAIGHT,
}
ALPHA_MESSAGE: Mapping[Alpha, AlphaMessage.ValueType] = {
    Alpha.OPAQUE: AlphaMessage.ALPHA_OPAQUE,
    Alpha.PREMULTIPLIED: AlphaMessage.ALPHA_PREMULTIPLIED,
    Alpha.STRAIGHT: AlphaMessage.ALPHA_STRAIGHT,
}
DTYPES: Mapping[int, np.dtype[Any]] = {
    PixelType.PIXEL_TYPE_UINT8: np.dtype("<u1"),
    PixelType.PIXEL_TYPE_UINT16: np.dtype("<u2"),
    PixelType.PIXEL_TYPE_FLOAT32: np.dtype("<f4"),
}


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame from a host, with the host's own digest of it and ours."""

    frame: Frame
    host_digest: str
    digest: str


def frame_pieces(frame: Frame, pixel_type: PixelType.ValueType) -> Iterator[FramePiece]:
    """The pieces of a frame; integers are rounded and cut off at 0 and 1."""
    header = FrameHeader(
        index=frame.index,
        size=FrameSizeMessage(width=frame.size.width, height=frame.size.height),
        pixel_type=pixel_type,
        alpha=ALPHA_MESSAGE[frame.alpha],
    )
    yield FramePiece(header=header)
    pixels = _encode(frame.pixels, pixel_type).data.cast("B")
    for start in range(0, len(pixels), PIECE_BYTES):
        yield FramePiece(pixels=bytes(pixels[start : start + PIECE_BYTES]))


def received_frames(pieces: Iterable[FramePiece]) -> Iterator[ReceivedFrame]:
    """Puts frames together again.

    Raises InvalidValueError for a header out of its ranges and for pixels that are not exactly as
    many as it announces; memory is taken only for a header that was checked.
    """
    header: FrameHeader | None = None
    buffer = bytearray()
    filled = 0
    for piece in pieces:
        match piece.WhichOneof("piece"):
            case "header":
                if header is not None:
                    raise _wrong_pixel_count(header, filled, len(buffer))
                header, buffer, filled = piece.header, bytearray(_checked_bytes(piece.header)), 0
            case "pixels" if header is not None:
                following = filled + len(piece.pixels)
                if following > len(buffer) or len(piece.pixels) > PIECE_BYTES:
                    raise _wrong_pixel_count(header, following, len(buffer))
                buffer[filled:following] = piece.pixels
                filled = following
                if filled == len(buffer):
                    yield _received(header, buffer)
                    header = None
            case _:
                raise InvalidValueError("Pixels came without a frame header: send it before them.")
    if header is not None:
        raise _wrong_pixel_count(header, filled, len(buffer))


def check_pixel_type(pixel_type: int) -> None:
    """Raises InvalidValueError for what is none."""
    if pixel_type not in DTYPES:
        raise InvalidValueError(f"The pixel type is {pixel_type}: choose one of PixelType.")


def _received(header: FrameHeader, buffer: bytearray) -> ReceivedFrame:
    shape = (header.size.height, header.size.width, 4)
    values = np.frombuffer(buffer, DTYPES[header.pixel_type]).reshape(shape)
    integers = values.dtype.kind == "u"
    pixels = values.astype(np.float32)
    if integers:
        pixels /= np.iinfo(values.dtype).max
    elif not np.isfinite(pixels).all():
        raise InvalidValueError(
            f"Frame {header.index} holds values that are not numbers: check the effect before this "
            "one in the host."
        )
    eight_bit = header.pixel_type == PixelType.PIXEL_TYPE_UINT8
    frame = Frame(
        header.index,
        pixels,
        alpha=ALPHA_OF[header.alpha],
        precision=Precision.HALF if eight_bit else Precision.FLOAT,
    )
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{shape} {header.pixel_type} {header.alpha}".encode())
    digest.update(buffer)
    return ReceivedFrame(frame, header.digest, digest.hexdigest())


def _checked_bytes(header: FrameHeader) -> int:
    size = FrameSize(header.size.width, header.size.height)
    check_size(size)
    check_pixel_type(header.pixel_type)
    if header.alpha not in ALPHA_OF:
        raise InvalidValueError(
            f"The alpha of frame {header.index} is {header.alpha}: choose one of Alpha."
        )
    return size.width * size.height * 4 * int(DTYPES[header.pixel_type].itemsize)


def _wrong_pixel_count(header: FrameHeader, received: int, announced: int) -> InvalidValueError:
    return InvalidValueError(
        f"Frame {header.index} came with {received} bytes of pixels in place of {announced}: send "
        f"exactly what its header announces, in pieces of at most {PIECE_BYTES} bytes."
    )


def _encode(pixels: FloatArray, pixel_type: PixelType.ValueType) -> NDArray[Any]:
    dtype = DTYPES[pixel_type]
    if dtype.kind == "f":
        return np.ascontiguousarray(pixels, dtype)
    largest = np.iinfo(dtype).max
    return np.rint(np.clip(pixels, 0.0, 1.0) * largest).astype(dtype)
