"""Messages to the types of the engine and back."""

from collections.abc import Sequence
from fractions import Fraction

from google.protobuf.field_mask_pb2 import FieldMask
from inbetween.v1.frame_pb2 import FrameRange as FrameRangeMessage
from inbetween.v1.frame_pb2 import FrameSize as FrameSizeMessage
from inbetween.v1.frame_pb2 import Rational
from inbetween.v1.render_pb2 import (
    EstimateCostRequest,
    ListMissingSourceFramesRequest,
    StartJobRequest,
)
from inbetween.v1.session_pb2 import Clip as ClipMessage
from inbetween.v1.session_pb2 import HostClip, Placement
from inbetween.v1.session_pb2 import KeyFrame as KeyFrameMessage
from inbetween.v1.session_pb2 import Session as SessionMessage

from engine.errors import InvalidValueError
from engine.plan import OWN_SETTINGS
from engine.types import Clip, FrameRange, FrameSize, KeyFrame
from server.pictures import check_size
from server.settings import check_setting, check_text, settings_message, settings_of
from server.state import PlacedKeyFrame, SessionState

LONGEST_CLIP_FRAMES = 1_000_000
EDITABLE = (*OWN_SETTINGS, "prompt_addition", "chosen_take", "anchor", "placement")
"""The fields of a key frame that an edit can change."""


def frame_range_of(message: FrameRangeMessage) -> FrameRange:
    """Raises InvalidValueError for an empty range and for one that no clip has."""
    frames = FrameRange(message.first, message.last)
    if len(frames) > LONGEST_CLIP_FRAMES:
        raise InvalidValueError(
            f"The frame range {frames.first}-{frames.last} has {len(frames)} frames: a clip may "
            f"have {LONGEST_CLIP_FRAMES}."
        )
    return frames


def range_asked(
    request: EstimateCostRequest | ListMissingSourceFramesRequest | StartJobRequest,
    whole: FrameRange,
) -> FrameRange:
    """The range of a request; the whole clip where it names none."""
    return frame_range_of(request.range) if request.HasField("range") else whole


def range_message(frames: FrameRange) -> FrameRangeMessage:
    return FrameRangeMessage(first=frames.first, last=frames.last)


def frame_size_of(message: FrameSizeMessage) -> FrameSize:
    """Raises InvalidValueError for a size without pixels or with too many."""
    size = FrameSize(message.width, message.height)
    check_size(size)
    return size


def host_clip_of(message: ClipMessage) -> Clip:
    """The clip that a host describes."""
    return Clip(
        source=message.host.identity,
        frame_range=frame_range_of(message.range),
        size=frame_size_of(message.size),
        frame_rate=_fraction_of(message.frame_rate, "frame rate"),
        pixel_aspect=_fraction_of(message.pixel_aspect, "pixel aspect")
        if message.HasField("pixel_aspect")
        else Fraction(1),
    )


def clip_message(state: SessionState) -> ClipMessage:
    clip = state.clip
    message = ClipMessage(
        range=range_message(clip.frame_range),
        size=FrameSizeMessage(width=clip.size.width, height=clip.size.height),
        frame_rate=_rational(clip.frame_rate),
        pixel_aspect=_rational(clip.pixel_aspect),
    )
    if state.application is None:
        message.media_path = clip.source
    else:
        message.host.CopyFrom(HostClip(application=state.application, identity=clip.source))
    return message


def key_frame_of(message: KeyFrameMessage) -> KeyFrame:
    """Raises InvalidValueError for a value that the setting of that name cannot have."""
    present = {field.name: value for field, value in message.ListFields()}
    own = {name: present[name] for name in OWN_SETTINGS if name in present}
    for name, value in own.items():
        check_setting(name, value)
    check_text("prompt_addition", message.prompt_addition)
    return KeyFrame(
        message.index,
        prompt_addition=message.prompt_addition,
        take=message.chosen_take or None,
        anchor=message.anchor,
        **own,
    )


def changed_key_frame(
    placed: PlacedKeyFrame, message: KeyFrameMessage, changed: Sequence[str]
) -> PlacedKeyFrame:
    """The key frame with the fields named in `changed` as the message has them. That makes it the
    editor's, unless its placement is among them and it sets nothing for itself any more.

    Raises InvalidValueError for a field that cannot be changed, and as `key_frame_of`.
    """
    for name in changed:
        if name not in EDITABLE:
            raise InvalidValueError(
                f'"{name}" of key frame {placed.index} cannot be changed: choose '
                f"{', '.join(EDITABLE)}."
            )
    merged = key_frame_message(placed)
    FieldMask(paths=changed).MergeMessage(message, merged)
    key = key_frame_of(merged)
    if "placement" not in changed:
        return placed.edited(key)
    automatic = merged.placement == Placement.PLACEMENT_AUTOMATIC
    return PlacedKeyFrame(key, automatic and key == KeyFrame(key.index))


def placed_key_frame_of(message: KeyFrameMessage) -> PlacedKeyFrame:
    automatic = message.placement == Placement.PLACEMENT_AUTOMATIC
    return PlacedKeyFrame(key_frame_of(message), automatic)


def key_frame_message(placed: PlacedKeyFrame) -> KeyFrameMessage:
    """What the editor set of a key frame, without its takes."""
    key = placed.key_frame
    own = {name: value for name in OWN_SETTINGS if (value := getattr(key, name)) is not None}
    return KeyFrameMessage(
        index=key.index,
        placement=Placement.PLACEMENT_AUTOMATIC if placed.automatic else Placement.PLACEMENT_HAND,
        chosen_take=key.take,
        prompt_addition=key.prompt_addition or None,
        anchor=key.anchor or None,
        **own,
    )


def session_message(state: SessionState, folder: str) -> SessionMessage:
    """What the editor set, without the takes of the key frames."""
    return SessionMessage(
        id=state.id,
        revision=state.revision,
        clip=clip_message(state),
        settings=settings_message(state.settings),
        key_frames=[key_frame_message(placed) for placed in state.key_frames],
        cuts=sorted(state.cuts or ()),
        folder=folder,
    )


def session_of(message: SessionMessage) -> SessionState:
    """The state that `session_message` tells of."""
    from_host = message.clip.WhichOneof("source") == "host"
    clip = host_clip_of(message.clip)
    return SessionState(
        id=message.id,
        clip=clip
        if from_host
        else Clip(
            message.clip.media_path, clip.frame_range, clip.size, clip.frame_rate, clip.pixel_aspect
        ),
        settings=settings_of(message.settings),
        application=message.clip.host.application if from_host else None,
        key_frames=tuple(placed_key_frame_of(key) for key in message.key_frames),
        cuts=frozenset(message.cuts),
        revision=message.revision,
    )


def _rational(fraction: Fraction) -> Rational:
    return Rational(numerator=fraction.numerator, denominator=fraction.denominator)


def _fraction_of(message: Rational, name: str) -> Fraction:
    if message.numerator <= 0 or message.denominator <= 0:
        raise InvalidValueError(
            f"The {name} of the clip is {message.numerator}/{message.denominator}: it must be "
            "more than 0."
        )
    return Fraction(message.numerator, message.denominator)
