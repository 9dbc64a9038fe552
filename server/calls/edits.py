"""What the requests that change a session make of its state."""

from inbetween.v1.session_pb2 import (
    EditKeyFrameRequest,
    SetKeyFramesRequest,
    UpdateSettingsRequest,
)

from server import state as rules
from server.convert import changed_key_frame, key_frame_of, placed_key_frame_of
from server.settings import changed_settings, settings_of
from server.state import Rule, SessionState

RevisedRequest = UpdateSettingsRequest | EditKeyFrameRequest | SetKeyFramesRequest


def settings_rule(request: UpdateSettingsRequest) -> Rule:
    """The rule changes the settings that the request names; all where it names none.

    Raises InvalidValueError for a value that a setting cannot have.
    """
    if not request.HasField("changed"):
        settings = settings_of(request.settings)
        return _guarded(request, lambda state: rules.change_settings(state, settings))

    def change(state: SessionState) -> SessionState:
        changed = changed_settings(state.settings, request.settings, request.changed.paths)
        return rules.change_settings(state, changed)

    return _guarded(request, change)


def key_frame_rule(request: EditKeyFrameRequest) -> Rule:
    """The rule changes what the request names of a key frame; all where it names nothing.

    Raises InvalidValueError for a value that a setting cannot have.
    """
    if not request.HasField("changed"):
        key = key_frame_of(request.key_frame)
        return _guarded(request, lambda state: rules.edit_key_frame(state, key))

    def change(state: SessionState) -> SessionState:
        placed = state.key_frame_at(request.key_frame.index)
        edited = changed_key_frame(placed, request.key_frame, request.changed.paths)
        return rules.replace_key_frame(state, edited)

    return _guarded(request, change)


def key_frames_rule(request: SetKeyFramesRequest) -> Rule:
    """The rule replaces all key frames.

    Raises InvalidValueError for a value that a setting cannot have.
    """
    keys = [placed_key_frame_of(key) for key in request.key_frames]
    return _guarded(request, lambda state: rules.set_key_frames(state, keys))


def _guarded(request: RevisedRequest, rule: Rule) -> Rule:
    """The rule, refused at another revision than the request wants, if it wants one."""
    if not request.HasField("if_revision"):
        return rule

    def guarded(state: SessionState) -> SessionState:
        rules.check_revision(state, request.if_revision)
        return rule(state)

    return guarded
