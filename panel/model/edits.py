"""The changes that an editor makes to a session, as values.

An edit knows what the session looks like with it, how it is sent, and what undoes it. It holds
and sends what it changes only, never the whole session: an edit meets what others did meanwhile,
and changes no more than the person did. So does its undoing.

What the session looks like is what the server makes of the edit, but for what only the server
knows: takes and states, and the key frames that another key interval places.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message
from inbetween.v1 import session_pb2 as pb
from inbetween.v1 import session_pb2_grpc, settings_pb2

Stub = session_pb2_grpc.SessionServiceStub
Value = str | int | float | bool
CALL_SECONDS = 30.0
UNSET_WHERE_EMPTY = frozenset({"prompt_addition", "chosen_take", "anchor"})
"""Of what a key frame sets for itself: empty or False is the same as not set."""
PIECE_BYTES = 1 << 20


class Edit(ABC):
    """One change of a session."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What the undo menu calls it."""

    @abstractmethod
    def applied_to(self, session: pb.Session) -> pb.Session:
        """The session with this change; the same where it is there already or cannot be made."""

    @abstractmethod
    def undone(self, before: pb.Session) -> "Edit":
        """The edit that takes this one back, made in the session `before`."""

    @abstractmethod
    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        """Makes the change on the server, whose latest session is `session`."""

    @abstractmethod
    def is_done(self, session: pb.Session) -> bool:
        """Whether nothing is left to send: true where only the answer to it was lost."""


@dataclass(frozen=True)
class AddKey(Edit):
    """Places a key frame."""

    index: int

    @property
    def text(self) -> str:
        return f"Add key frame {self.index}"

    def applied_to(self, session: pb.Session) -> pb.Session:
        if key_at(session, self.index) is not None or not is_inside(session, self.index):
            return session
        return with_keys(session, {self.index: self._key()})

    def undone(self, before: pb.Session) -> Edit:  # noqa: ARG002
        return DeleteKey(self.index)

    def is_done(self, session: pb.Session) -> bool:
        return key_at(session, self.index) is not None

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        request = pb.AddKeyFrameRequest(session_id=session.id, key_frame=self._key())
        return stub.AddKeyFrame(request, timeout=CALL_SECONDS).session

    def _key(self) -> pb.KeyFrame:
        return pb.KeyFrame(index=self.index, placement=pb.PLACEMENT_HAND)


@dataclass(frozen=True)
class MoveKey(Edit):
    """Takes a key frame to another frame; its takes stay at the frame they show."""

    index: int
    to_index: int

    @property
    def text(self) -> str:
        return f"Move key frame {self.index} to {self.to_index}"

    def applied_to(self, session: pb.Session) -> pb.Session:
        key = key_at(session, self.index)
        if (
            key is None
            or key_at(session, self.to_index) is not None
            or not is_inside(session, self.to_index)
            or shows_painting(key)
        ):
            return session
        moved = own_values(key)
        moved.index = self.to_index
        moved.placement = pb.PLACEMENT_HAND
        moved.ClearField("chosen_take")
        return with_keys(session, {self.index: None, self.to_index: moved})

    def undone(self, before: pb.Session) -> Edit:
        key = key_at(before, self.index) or pb.KeyFrame(index=self.index)
        return PutBack(key, self.to_index, self.text)

    def is_done(self, session: pb.Session) -> bool:
        return key_at(session, self.index) is None and key_at(session, self.to_index) is not None

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        request = pb.MoveKeyFrameRequest(
            session_id=session.id, from_index=self.index, to_index=self.to_index
        )
        return stub.MoveKeyFrame(request, timeout=CALL_SECONDS).session


@dataclass(frozen=True)
class DeleteKey(Edit):
    """Takes a key frame away; its takes are kept."""

    index: int

    @property
    def text(self) -> str:
        return f"Delete key frame {self.index}"

    def applied_to(self, session: pb.Session) -> pb.Session:
        if key_at(session, self.index) is None:
            return session
        return with_keys(session, {self.index: None})

    def undone(self, before: pb.Session) -> Edit:
        key = key_at(before, self.index)
        return self if key is None else PutBack(key, None, self.text)

    def is_done(self, session: pb.Session) -> bool:
        return key_at(session, self.index) is None

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        request = pb.DeleteKeyFrameRequest(session_id=session.id, index=self.index)
        return stub.DeleteKeyFrame(request, timeout=CALL_SECONDS).session


@dataclass(frozen=True)
class PutBack(Edit):
    """Brings a key frame back that was moved or deleted, where its frame has none by now."""

    key: pb.KeyFrame
    """As it was there."""
    moved_to: int | None
    """None: it was deleted."""
    text_: str

    @property
    def text(self) -> str:
        return self.text_

    def applied_to(self, session: pb.Session) -> pb.Session:
        if key_at(session, self.key.index) is not None:
            return session
        if self.moved_to is None:
            return with_keys(session, {self.key.index: self.key})
        moved = key_at(session, self.moved_to)
        if moved is None:
            return session
        back = own_values(moved)  # with what was changed of it since
        back.index = self.key.index
        set_field(back, "chosen_take", value_set(self.key, "chosen_take"))
        place(back, self.key.placement)
        return with_keys(session, {self.moved_to: None, self.key.index: back})

    def undone(self, before: pb.Session) -> Edit:  # noqa: ARG002
        index = self.key.index
        return DeleteKey(index) if self.moved_to is None else MoveKey(index, self.moved_to)

    def is_done(self, session: pb.Session) -> bool:
        return self.applied_to(session) == session

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        keys = [own_values(key) for key in self.applied_to(session).key_frames]
        request = pb.SetKeyFramesRequest(
            session_id=session.id, key_frames=keys, if_revision=session.revision
        )
        return stub.SetKeyFrames(request, timeout=CALL_SECONDS).session


@dataclass(frozen=True)
class ChangeKey(Edit):
    """Changes what a key frame sets for itself; None: as the clip. That makes it the editor's,
    unless its placement is among the changes.
    """

    index: int
    changes: tuple[tuple[str, Value | None], ...]
    text_: str

    @property
    def text(self) -> str:
        return self.text_

    def applied_to(self, session: pb.Session) -> pb.Session:
        key = key_at(session, self.index)
        if key is None:
            return session
        changed = pb.KeyFrame()
        changed.CopyFrom(key)
        self._change(changed)
        if changed != key:
            is_given = "placement" in dict(self.changes)
            place(changed, changed.placement if is_given else pb.PLACEMENT_HAND)
        return with_keys(session, {self.index: changed})

    def undone(self, before: pb.Session) -> Edit:
        key = key_at(before, self.index) or pb.KeyFrame()
        names = [name for name, _ in self.changes if name != "placement"]
        earlier = [(name, value_set(key, name)) for name in names]
        return ChangeKey(self.index, (*earlier, ("placement", key.placement)), self.text)

    def is_done(self, session: pb.Session) -> bool:
        return key_at(session, self.index) is not None and self.applied_to(session) == session

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        key = pb.KeyFrame(index=self.index)
        self._change(key)
        request = pb.EditKeyFrameRequest(
            session_id=session.id,
            key_frame=key,
            changed=pb.FieldNames(paths=[name for name, _ in self.changes]),
        )
        return stub.EditKeyFrame(request, timeout=CALL_SECONDS).session

    def _change(self, key: pb.KeyFrame) -> None:
        for name, value in self.changes:
            set_field(key, name, (value or None) if name in UNSET_WHERE_EMPTY else value)


@dataclass(frozen=True)
class ChangeSetting(Edit):
    """Changes one setting of the clip; None: its default."""

    group: str
    name: str
    value: Value | None
    label: str

    @property
    def text(self) -> str:
        return f"Change {self.label.lower()}"

    def applied_to(self, session: pb.Session) -> pb.Session:
        changed = pb.Session()
        changed.CopyFrom(session)
        self._set(changed.settings)
        return changed

    def undone(self, before: pb.Session) -> Edit:
        value = value_set(getattr(before.settings, self.group), self.name)
        return ChangeSetting(self.group, self.name, value, self.label)

    def is_done(self, session: pb.Session) -> bool:
        return self.applied_to(session) == session

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        request = pb.UpdateSettingsRequest(
            session_id=session.id, changed=pb.FieldNames(paths=[f"{self.group}.{self.name}"])
        )
        self._set(request.settings)
        return stub.UpdateSettings(request, timeout=CALL_SECONDS).session

    def _set(self, settings: settings_pb2.Settings) -> None:
        set_field(getattr(settings, self.group), self.name, self.value)


@dataclass(frozen=True)
class ImportPainting(Edit):
    """Makes a picture painted by hand the take of a key frame."""

    index: int
    path: Path
    size_rule: pb.SizeRule.ValueType
    file_bytes: bytes

    @property
    def text(self) -> str:
        return f"Import painting for key frame {self.index}"

    def applied_to(self, session: pb.Session) -> pb.Session:
        key = key_at(session, self.index)
        if key is None:
            return AddKey(self.index).applied_to(session)
        painted = pb.KeyFrame()
        painted.CopyFrom(key)
        painted.placement = pb.PLACEMENT_HAND
        return with_keys(session, {self.index: painted})

    def undone(self, before: pb.Session) -> Edit:
        key = key_at(before, self.index)
        if key is None:
            return DeleteKey(self.index)
        return ChangeKey(self.index, (("chosen_take", None),), self.text).undone(before)

    def is_done(self, session: pb.Session) -> bool:  # noqa: ARG002
        return False  # sending the same picture twice makes the same take

    def send(self, stub: Stub, session: pb.Session) -> pb.Session:
        requests = self._requests(session.id)
        return stub.ImportPainting(requests, timeout=CALL_SECONDS * 4).session

    def _requests(self, session_id: str) -> Iterator[pb.ImportPaintingRequest]:
        description = pb.PaintingDescription(
            session_id=session_id,
            index=self.index,
            file_name=self.path.name,
            size_rule=self.size_rule,
        )
        yield pb.ImportPaintingRequest(description=description)
        for start in range(0, len(self.file_bytes), PIECE_BYTES):
            piece = self.file_bytes[start : start + PIECE_BYTES]
            yield pb.ImportPaintingRequest(file_bytes=piece)


def key_at(session: pb.Session, index: int) -> pb.KeyFrame | None:
    """The key frame at this source frame."""
    return next((key for key in session.key_frames if key.index == index), None)


def is_inside(session: pb.Session, index: int) -> bool:
    """Whether the clip has this source frame."""
    return session.clip.range.first <= index <= session.clip.range.last


def shows_painting(key: pb.KeyFrame) -> bool:
    """Whether the chosen take was painted by hand."""
    return any(take.painter == "painted" and take.address == key.chosen_take for take in key.takes)


def place(key: pb.KeyFrame, placement: pb.Placement.ValueType) -> None:
    """Says who placed a key frame: the editor did where it sets anything for itself."""
    sets_nothing = own_values(key) == pb.KeyFrame(index=key.index, placement=key.placement)
    key.placement = placement if sets_nothing else pb.PLACEMENT_HAND


def own_values(key: pb.KeyFrame) -> pb.KeyFrame:
    """The key frame without what the server fills in."""
    own = pb.KeyFrame()
    own.CopyFrom(key)
    for name in ("take", "takes", "state", "anchor_index"):
        own.ClearField(name)
    return own


def with_keys(session: pb.Session, keys: dict[int, pb.KeyFrame | None]) -> pb.Session:
    """The session with these frames holding these key frames, or none."""
    kept = [key for key in session.key_frames if key.index not in keys]
    placed = [key for key in keys.values() if key is not None]
    changed = pb.Session()
    changed.CopyFrom(session)
    del changed.key_frames[:]
    changed.key_frames.extend(sorted([*kept, *placed], key=lambda key: key.index))
    return changed


def value_set(message: Message, name: str) -> Value | None:
    """The value of an optional field; None where it is not set."""
    value: Value = getattr(message, name)
    return value if message.HasField(name) else None


def set_field(message: Message, name: str, value: Value | None) -> None:
    """Sets an optional field; None clears it."""
    if value is None:
        message.ClearField(name)
    else:
        setattr(message, name, value)
