"""Pictures for somebody who looks: never waits for a render."""

from collections.abc import Iterator

from inbetween.v1.frame_pb2 import PixelType
from inbetween.v1.render_pb2 import (
    Picture,
    PictureDescription,
    ReadFrameRequest,
    ReadFrameResponse,
)
from inbetween.v1.session_pb2 import FrameState

from engine.errors import InvalidValueError, NotFoundError
from engine.types import Frame, FrameSize
from server.frames import check_pixel_type, frame_pieces
from server.jobs import Jobs
from server.pictures import fitting, opaque, resized
from server.session import Session
from server.session_folder import displayed
from server.views import frame_states


def read_frame(
    session: Session, jobs: Jobs, request: ReadFrameRequest
) -> Iterator[ReadFrameResponse]:
    """What the picture is, then the picture in straight sRGB, where there is one."""
    session.check_index(request.index)
    pixel_type = request.pixel_type or PixelType.PIXEL_TYPE_UINT8
    check_pixel_type(pixel_type)
    state = frame_states(session, jobs.of_session(session.id))[request.index]
    frame = _picture(session, request, state)
    yield ReadFrameResponse(description=PictureDescription(state=state))
    if frame is None:
        return
    if request.HasField("fit_within"):
        box = FrameSize(request.fit_within.width, request.fit_within.height)
        frame = resized(frame, fitting(frame.size, box))
    for piece in frame_pieces(frame, pixel_type):
        yield ReadFrameResponse(frame=piece)


def _picture(
    session: Session, request: ReadFrameRequest, state: FrameState.ValueType
) -> Frame | None:
    match request.picture:
        case Picture.PICTURE_SOURCE:
            return displayed(session.read_source(request.index))
        case Picture.PICTURE_TAKE:
            return _take(session, request.index, request.take)
        case Picture.PICTURE_RESULT if state == FrameState.FRAME_STATE_SOURCE:
            return displayed(session.read_source(request.index))
        case Picture.PICTURE_RESULT:
            rendered = request.index in session.sequence
            return session.folder.load_display(request.index) if rendered else None
        case _:
            raise InvalidValueError(f"The picture is {request.picture}: choose one of Picture.")


def _take(session: Session, index: int, address: str) -> Frame:
    if not any(take.address == address and take.frame == index for take in session.takes):
        raise NotFoundError(f'Frame {index} has no take "{address}": choose one of its own.')
    return opaque(index, session.folder.load_picture(address))
