"""What a session is, and what each edit makes of it. Everything here is pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from engine.errors import InvalidValueError, NotFoundError
from engine.plan import automatic_key_frames, check_key_frames
from engine.settings import RenderSettings, SourceSettings
from engine.types import Clip, KeyFrame
from server.errors import AlreadyExistsError, ChangedMeanwhileError, NotPossibleNowError
from server.settings import merge_changes


@dataclass(frozen=True)
class PlacedKeyFrame:
    """A key frame, and who placed it."""

    key_frame: KeyFrame
    automatic: bool = False
    """Placed by the key interval; False: by hand."""

    @property
    def index(self) -> int:
        return self.key_frame.index

    def edited(self, key_frame: KeyFrame) -> "PlacedKeyFrame":
        """With what it sets for itself replaced, which makes it the editor's; the same where that
        changes nothing.
        """
        return self if key_frame == self.key_frame else PlacedKeyFrame(key_frame)


@dataclass(frozen=True)
class SessionState:
    """Everything that the editor can change, at one revision."""

    id: str
    clip: Clip
    settings: RenderSettings
    application: str | None = None
    """The host that sends the frames; None: the server reads the clip's file."""
    key_frames: tuple[PlacedKeyFrame, ...] = ()
    """In the order of their frames."""
    cuts: frozenset[int] | None = None
    """First frames of the shots after the first one; None: nobody looked yet."""
    media: str = ""
    """What identifies the clip's file in which the cuts were looked for; empty for a host's."""
    effect_settings: RenderSettings | None = None
    """What the effect sent last."""
    revision: int = 1

    @property
    def from_host(self) -> bool:
        return self.application is not None

    @property
    def active_key_frames(self) -> tuple[KeyFrame, ...]:
        """Those inside the clip: a host may trim it, and those outside wait for its return."""
        return tuple(
            placed.key_frame for placed in self.key_frames if placed.index in self.clip.frame_range
        )

    def key_frame_at(self, index: int) -> PlacedKeyFrame:
        """Raises NotFoundError where there is none."""
        for placed in self.key_frames:
            if placed.index == index:
                return placed
        raise NotFoundError(f"There is no key frame at {index}: add one there first.")

    def has_key_frame(self, index: int) -> bool:
        return any(placed.index == index for placed in self.key_frames)


Rule = Callable[[SessionState], SessionState]


def check_revision(state: SessionState, revision: int) -> None:
    """Raises ChangedMeanwhileError where the session has another revision."""
    if state.revision != revision:
        raise ChangedMeanwhileError(
            f"The session was changed by somebody else: it is at revision {state.revision}, not "
            f"{revision}; look at it again, then repeat the change."
        )


def new_session(
    session_id: str, clip: Clip, settings: RenderSettings, application: str | None, media: str
) -> SessionState:
    """A session with the key frames that its key interval places. Raises as `change_settings`."""
    _check_color_space(application, settings)
    return place_automatically(SessionState(session_id, clip, settings, application, media=media))


def change_settings(state: SessionState, settings: RenderSettings) -> SessionState:
    """Replaces the settings; another key interval places its key frames anew.

    Raises InvalidValueError for a colour space of a file, which tells its own.
    """
    _check_color_space(state.application, settings)
    changed = replace(state, settings=settings)
    if settings.keys == state.settings.keys:
        return changed
    return place_automatically(changed)


def change_settings_by_effect(state: SessionState, settings: RenderSettings) -> SessionState:
    """Takes over what changed in the effect since it was last heard of.

    The effect sends all its settings with each render: those that it did not change itself must not
    undo what was changed elsewhere.
    """
    if state.effect_settings is None:
        changed = change_settings(state, settings)
    else:
        merged = merge_changes(state.settings, state.effect_settings, settings)
        changed = change_settings(state, merged)
    return replace(changed, effect_settings=settings)


def change_clip(state: SessionState, clip: Clip) -> SessionState:
    """The clip as the host has it now; another range places the automatic key frames anew."""
    changed = replace(state, clip=clip)
    if clip.frame_range == state.clip.frame_range:
        return changed
    return place_automatically(changed)


def change_media(state: SessionState, clip: Clip, media: str) -> SessionState:
    """The clip as its file is now. Another file has cuts of its own, to be looked for again."""
    if media == state.media:
        return change_clip(state, clip)
    return place_automatically(replace(state, clip=clip, media=media, cuts=None))


def place_automatically(state: SessionState) -> SessionState:
    """Replaces the automatic key frames by those of the key interval; the others stay."""
    by_hand = [placed for placed in state.key_frames if not placed.automatic]
    return _with_key_frames(state, [*by_hand, *_automatic(state, {key.index for key in by_hand})])


def find_cuts(state: SessionState, cuts: frozenset[int]) -> SessionState:
    """Adapts the automatic key frames to newly found cuts.

    Only what the cuts change is changed: an automatic key frame that the editor deleted stays
    deleted, and a list without automatic key frames stays as it is.
    """
    found = replace(state, cuts=cuts)
    if not any(placed.automatic for placed in state.key_frames):
        return found
    before = {placed.index for placed in _automatic(state, set())}
    now = {placed.index for placed in _automatic(found, set())}
    kept = [
        placed
        for placed in state.key_frames
        if not (placed.automatic and placed.index in before - now)
    ]
    missing = now - before - {placed.index for placed in kept}
    added = [PlacedKeyFrame(KeyFrame(index), automatic=True) for index in missing]
    return _with_key_frames(found, [*kept, *added])


def add_key_frame(state: SessionState, key_frame: KeyFrame) -> SessionState:
    """Raises AlreadyExistsError at a frame that has one."""
    if state.has_key_frame(key_frame.index):
        raise AlreadyExistsError(
            f"There is a key frame at {key_frame.index} already: edit or move that one."
        )
    return _with_key_frames(state, [*state.key_frames, PlacedKeyFrame(key_frame)])


def move_key_frame(
    state: SessionState, from_index: int, to_index: int, *, shows_painting: bool
) -> SessionState:
    """A moved key frame is the editor's. It leaves its takes behind: they belong to their frame.

    Raises AlreadyExistsError at a frame that has one, NotPossibleNowError where it shows a picture
    that was painted by hand for its frame.
    """
    moved = state.key_frame_at(from_index)
    if from_index == to_index:
        return state
    if shows_painting:
        raise NotPossibleNowError(
            f"Key frame {from_index} shows a picture that was painted by hand for that frame: add "
            f"a key frame at {to_index} and import a painting of it, or let key frame {from_index} "
            "follow the settings again before you move it."
        )
    others = delete_key_frame(state, from_index)
    return add_key_frame(others, replace(moved.key_frame, index=to_index, take=None))


def delete_key_frame(state: SessionState, index: int) -> SessionState:
    deleted = state.key_frame_at(index)
    return _with_key_frames(state, [key for key in state.key_frames if key != deleted])


def edit_key_frame(state: SessionState, key_frame: KeyFrame) -> SessionState:
    """Replaces what the key frame sets for itself, which makes it the editor's."""
    placed = state.key_frame_at(key_frame.index)
    return replace_key_frame(state, placed.edited(key_frame))


def replace_key_frame(state: SessionState, placed: PlacedKeyFrame) -> SessionState:
    """Replaces the key frame at its frame, with who placed it."""
    before = state.key_frame_at(placed.index)
    kept = [key for key in state.key_frames if key != before]
    return _with_key_frames(state, [*kept, placed])


def use_take(state: SessionState, index: int, take: str) -> SessionState:
    """Makes a take the chosen one of the key frame, which is placed where there is none."""
    if state.has_key_frame(index):
        return edit_key_frame(state, replace(state.key_frame_at(index).key_frame, take=take))
    return add_key_frame(state, KeyFrame(index, take=take))


def set_key_frames(state: SessionState, key_frames: Iterable[PlacedKeyFrame]) -> SessionState:
    return _with_key_frames(state, key_frames)


def _check_color_space(application: str | None, settings: RenderSettings) -> None:
    default = SourceSettings()
    if application is None and settings.source != default:
        raise InvalidValueError(
            f"color_space is {settings.source.color_space}: a file tells its colour space itself, "
            f"and this setting is for the pictures of a host; leave it at {default.color_space}."
        )


def _automatic(state: SessionState, taken: set[int]) -> list[PlacedKeyFrame]:
    indices = automatic_key_frames(
        state.clip.frame_range, state.cuts or (), state.settings.keys.key_interval
    )
    return [
        PlacedKeyFrame(KeyFrame(index), automatic=True) for index in indices if index not in taken
    ]


def _with_key_frames(state: SessionState, key_frames: Iterable[PlacedKeyFrame]) -> SessionState:
    before = set(state.key_frames)
    ordered = tuple(sorted(key_frames, key=lambda placed: placed.index))
    indices = [key.index for key in ordered if key not in before or _is_inside(state, key)]
    check_key_frames(state.clip.frame_range, indices)
    return replace(state, key_frames=ordered)


def _is_inside(state: SessionState, placed: PlacedKeyFrame) -> bool:
    return placed.index in state.clip.frame_range
