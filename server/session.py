"""One session of a server: state, frames and takes, written through to disk."""

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from engine.errors import (
    InbetweenError,
    InvalidValueError,
    NotFoundError,
    UnreadableMediaError,
)
from engine.media.color import from_painting_space, to_painting_space
from engine.media.picture import fit_picture, read_picture
from engine.media.source import FrameSource
from engine.plan import Paint, Plan, SourceFacts, address_of
from engine.types import Alpha, Clip, Frame, FrameRange, Precision
from server import state as rules
from server.calls.import_painting import Painting
from server.changes import Changes, Topic
from server.convert import session_message
from server.database import Database
from server.frames import ReceivedFrame
from server.pictures import check_size
from server.planning import PlanInputs, make_lenient_plan, needed_for
from server.records import DeliveredFrame, FrameKind, HostFrame, TakeRecord
from server.session_folder import SessionFolder, versions, write_json
from server.state import Rule, SessionState
from server.work.tasks import HostFrames, MediaFile

Digests = Mapping[int, str]
"""Source frame to what identifies its pixels."""


class Session:
    """One clip with its settings and key frames. Safe to use from any thread."""

    def __init__(
        self,
        state: SessionState,
        clip_key: str,
        folder: SessionFolder,
        database: Database,
        changes: Changes,
    ) -> None:
        folder.make()
        self.id = state.id
        self.clip_key = clip_key
        self.folder = folder
        self._state = state
        self._database = database
        self._changes = changes
        self._lock = threading.RLock()
        self._arrival = threading.Lock()
        self._source: FrameSource | None = None
        self._digests: Digests | None = None
        self._plan: Plan | None = None
        self._host_frames = database.host_frames(state.id)
        self._sequence = database.sequence(state.id)
        self._takes = {take.address: take for take in database.takes(state.id)}
        self._examined: set[int] = set()
        self._deleted = False

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def sequence(self) -> Mapping[int, DeliveredFrame]:
        """What the finished sequence holds."""
        with self._lock:
            return dict(self._sequence)

    @property
    def takes(self) -> tuple[TakeRecord, ...]:
        """In the order of their making."""
        with self._lock:
            return tuple(self._takes.values())

    def edit(self, rule: Rule) -> SessionState:
        """Applies a rule; where it changes what is rendered, that is a new revision."""
        with self._lock:
            self.check_there()
            before = self._state
            after = rule(before)
            if after == before:
                return before
            if replace(after, effect_settings=before.effect_settings) != before:
                after = replace(after, revision=before.revision + 1)
            self._database.save_session(self.clip_key, after)
            self._state = after
            self.folder.mark_used()
            if after.revision != before.revision:
                self._replanned(Topic.SESSION, Topic.FRAMES)
            return after

    def edit_key_frames(self, rule: Rule) -> SessionState:
        """As `edit`; refuses a chosen take that is none of its key frame."""
        with self._lock:
            return self.edit(lambda state: self._with_known_takes(rule(state)))

    def move_key_frame(self, from_index: int, to_index: int) -> SessionState:
        with self._lock:
            shown = self._state.key_frame_at(from_index).key_frame.take
            painted = shown is not None and self._takes[shown].imported
            return self.edit(
                lambda state: rules.move_key_frame(
                    state, from_index, to_index, shows_painting=painted
                )
            )

    # What the frames are made from.

    def digests(self) -> Digests:
        """Raises NotFoundError or UnreadableMediaError where the clip's file is gone."""
        with self._lock:
            if self._digests is None:
                with closing(self.worker_source().open()) as source:
                    self._digests = digests_of(source, self._present())
            return self._digests

    def refresh_media(self) -> None:
        """Looks at the clip's file again: another one may have its name by now.

        Raises as `digests`.
        """
        if self._state.from_host:
            return
        with closing(self.worker_source().open()) as source:
            clip = replace(source.clip, source=self._state.clip.source)
            check_size(clip.size)
            digests = digests_of(source, clip.frame_range.indices)
        with self._lock:
            if digests == self._digests and clip == self._state.clip:
                return
            self.close()
            self._plan, self._digests = None, digests
            self.edit(lambda state: rules.change_media(state, clip, media_identity(digests)))

    def change_host_clip(self, clip: Clip) -> None:
        """The clip as the host has it now; at another size its frames are to be sent again."""
        with self._lock:
            if clip.size != self._state.clip.size:
                self._forget_host_frames()
            self.edit(lambda state: rules.change_clip(state, clip))

    def close(self) -> None:
        """Lets go of the clip's file."""
        with self._lock:
            if self._source is not None:
                self._source.close()
                self._source = None

    def check_there(self) -> None:
        """Raises NotFoundError once it is deleted."""
        if self._deleted:
            raise NotFoundError(f"Session {self.id} was deleted: open its clip again.")

    def delete(self) -> Path:
        """Takes the session out of the books. What is returned is its folder, by a name that no
        session has, for the caller to delete.

        No job of the session may run meanwhile. Raises StorageError, and then the session stays.
        """
        with self._arrival, self._lock:
            self.check_there()
            self.close()
            # The folder first: killed in between, the next server gives it its name again.
            doomed = self.folder.set_aside()
            try:
                self._database.delete_session(self.id)
            except Exception:
                self.folder.take_back()
                raise
            self._deleted = True
        self._changes.tell(self.id, *Topic)
        return doomed

    def read_source(self, index: int) -> Frame:
        """Raises NotFoundError outside the clip, and for a frame that the host has not sent."""
        self.check_index(index)
        with self._lock:
            if self._source is None:
                self._source = self.worker_source().open()
            source = self._source
        return source.read(index)

    def worker_source(self) -> MediaFile | HostFrames:
        """How the worker gets the source frames."""
        with self._lock:
            state = self._state
            if not state.from_host:
                return MediaFile(Path(state.clip.source))
            space = state.settings.source.color_space
            return HostFrames(self.folder, state.clip, dict(self._host_frames), space)

    def check_index(self, index: int) -> None:
        frames = self._state.clip.frame_range
        if index not in frames:
            raise NotFoundError(
                f"Frame {index} lies outside the clip: choose a frame from {frames.first} to "
                f"{frames.last}."
            )

    def missing_sources(self, frames: FrameRange) -> list[int]:
        """The source frames that rendering `frames` needs and the host has not sent."""
        with self._lock:
            state = self._state
            if not state.from_host:
                return []
            needed = needed_for(state, frames)
            if needed is None:
                return []
            return [index for index in needed.indices if index not in self._host_frames]

    def receive(self, received: ReceivedFrame) -> None:
        """Keeps a source frame of the host."""
        frame = received.frame
        self.check_index(frame.index)
        if frame.size != self._state.clip.size:
            raise InvalidValueError(
                f"Source frame {frame.index} is {frame.size} but the clip is "
                f"{self._state.clip.size}: send it at the size of the clip."
            )
        host_frame = HostFrame(received.digest, received.host_digest, FrameKind.of(frame))
        with self._arrival:  # Files are written one at a time, and nobody else waits for them.
            self.check_there()
            known = self._host_frames.get(frame.index)
            if known is None or known.digest != host_frame.digest:
                self._database.forget_host_frame(self.id, frame.index)
                self.folder.save_source(frame)
            with self._lock:
                if known is None or known.digest != host_frame.digest:
                    self._examined -= {frame.index, frame.index + 1}
                self._database.save_host_frame(self.id, frame.index, host_frame)
                self._host_frames[frame.index] = host_frame
                self._replanned(Topic.FRAMES)

    def check_host_digest(self, index: int, digest: str) -> None:
        """Where a source frame changed in the host, none of those it sent can be trusted."""
        with self._lock:
            known = self._host_frames.get(index)
            if not digest or known is None or known.host_digest == digest:
                return
            self._forget_host_frames()

    # Cuts.

    def unexamined(self, frames: FrameRange) -> list[int]:
        """The frames in which cuts must be looked for before `frames` are planned."""
        with self._lock:
            if not self._state.from_host:
                known = self._state.cuts is not None
                return [] if known else list(self._state.clip.frame_range.indices)
            needed = needed_for(self._state, frames) or frames
            compared = [
                index
                for index in needed.indices
                if {index - 1, index} <= self._host_frames.keys() and index not in self._examined
            ]
            return sorted({*compared, *(index - 1 for index in compared)})

    def found_cuts(self, examined: Iterable[int], cuts: Iterable[int]) -> SessionState:
        """Keeps the cuts found in those frames, each compared with the one before it."""
        with self._lock:
            seen = set(examined)
            compared = {index for index in seen if index - 1 in seen}
            self._examined |= compared
            known = (self._state.cuts or frozenset()) - compared
            return self.edit(lambda state: rules.find_cuts(state, known | frozenset(cuts)))

    # Plans.

    def inputs(self) -> PlanInputs:
        """Raises NotFoundError or UnreadableMediaError where the clip's file is gone."""
        with self._lock:
            state = self._state
            facts = SourceFacts(
                state.clip.frame_range, dict(self.digests()), state.cuts or frozenset()
            )
            return PlanInputs(facts, state.active_key_frames, state.settings, self.takes)

    def snapshot(self) -> tuple[SessionState, PlanInputs]:
        """The state, and the inputs of its plan, of one moment. Raises as `inputs`."""
        with self._lock:
            return self._state, self.inputs()

    def is_ready(self, index: int) -> bool:
        """Whether the sequence holds today's picture of that frame."""
        with self._lock:
            plan, delivered = self.overview(), self._sequence.get(index)
            address = plan.pictures.get(index) if plan else None
            return delivered is not None and delivered.address == address

    def overview(self) -> Plan | None:
        """The plan of the whole clip, to tell what is ready; None where its file is gone."""
        with self._lock:
            if self._plan is None:
                try:
                    inputs = self.inputs()
                except InbetweenError:
                    return None
                frames = inputs.facts.frame_range
                self._plan = make_lenient_plan(inputs, frames)
            return self._plan

    # Pictures.

    def read_result(self, index: int) -> Frame:
        """What the sequence holds, in the colour space and with the alpha of its source frame."""
        delivered = self.sequence[index]
        if delivered.kind.alpha != Alpha.STRAIGHT.value or not self.is_ready(index):
            return self.folder.load_result(index, delivered)
        # An EXR is premultiplied: what the alpha hides is the source's to tell.
        shown = self.folder.load_display(index)
        return from_painting_space(shown.pixels[..., :3], self.read_source(index))

    def add_take(self, paint: Paint) -> None:
        """Enters a painting in the books, once."""
        settings = paint.settings
        self._add_take(
            TakeRecord(
                address=paint.address,
                frame=paint.frame,
                recipe=paint.recipe,
                painter=settings.painter,
                prompt=settings.prompt,
                seed=settings.seed,
                strength=settings.strength,
                painted_against=paint.painted_against,
                made_at=int(time.time()),
                drift=self.folder.load_drift(paint.address),
            )
        )

    def import_painting(self, painting: Painting) -> SessionState:
        """Makes a picture painted by hand the take of its key frame.

        Raises UnreadableMediaError for a file that is no picture, InvalidValueError where its size
        is wrong and the rule refuses that.
        """
        index, rule = painting.index, painting.size_rule
        source = to_painting_space(self.read_source(index))
        try:
            picture = read_picture(painting.file)
        except UnreadableMediaError as error:
            # The editor knows the file by its own name.
            raise UnreadableMediaError(
                str(error).replace(str(painting.file), painting.name)
            ) from error
        pixels = fit_picture(picture, source, rule)
        address = address_of(
            "painting", frame=index, pixels=hashlib.blake2b(pixels.tobytes()).hexdigest()
        )
        description = {"painting": painting.name, "frame": index, "size_rule": rule.value}
        with self._arrival:
            self.check_there()
            self.folder.save_take(address, pixels, Precision.FLOAT, description)
        take = TakeRecord(
            address=address,
            frame=index,
            recipe=address,
            painter="painted",
            prompt="",
            seed=0,
            strength=1.0,
            painted_against=(),
            made_at=int(time.time()),
            imported=True,
        )
        self._add_take(take)
        return self.edit(lambda state: rules.use_take(state, index, address))

    def write_description(self) -> None:
        """All that is needed to repeat the render, beside the sequence."""
        with self._lock:
            message = session_message(self._state, str(self.folder.path))
            values = {
                "session": MessageToDict(message, preserving_proto_field_name=True),
                "takes": [asdict(take) for take in self._takes.values()],
                "sequence": {index: asdict(frame) for index, frame in self._sequence.items()},
                "source_digests": self.digests(),
                "versions": versions(),
            }
        write_json(self.folder.description, values)

    def accept(self, index: int, delivered: DeliveredFrame) -> None:
        """Puts a finished frame into the sequence."""
        with self._lock:
            # The books never tell of a picture that is not there: killed in between, the frame is
            # delivered again.
            self._database.forget_delivered(self.id, index)
            self.folder.accept(index)
            self._database.save_delivered(self.id, index, delivered)
            self._sequence[index] = delivered
        self._changes.tell(self.id, Topic.FRAMES)

    def _add_take(self, take: TakeRecord) -> None:
        with self._lock:
            self.check_there()
            if take.address in self._takes:
                return
            self._database.add_take(self.id, take)
            self._takes[take.address] = take
            if self._plan is not None and self._plan.takes.get(take.frame) != take.address:
                self._plan = None  # Others are where the plan has them already.
        self._changes.tell(self.id, Topic.SESSION)

    def _forget_host_frames(self) -> None:
        self._database.forget_host_frames(self.id)
        self._host_frames.clear()
        self._examined.clear()
        self._replanned(Topic.FRAMES)

    def _present(self) -> Sequence[int]:
        """The source frames that are there."""
        indices = self._state.clip.frame_range.indices
        return sorted(self._host_frames.keys() & set(indices)) if self._state.from_host else indices

    def _with_known_takes(self, state: SessionState) -> SessionState:
        for placed in state.key_frames:
            take = placed.key_frame.take
            known = self._takes.get(take) if take else None
            if take and (known is None or known.frame != placed.index):
                raise NotFoundError(
                    f'Key frame {placed.index} has no take "{take}": choose one of its own.'
                )
        return state

    def _replanned(self, *topics: Topic) -> None:
        self._plan = None
        if self._state.from_host:
            self._source = self._digests = None
        self._changes.tell(self.id, *topics)


def digests_of(source: FrameSource, indices: Iterable[int]) -> Digests:
    """Those of the frames at `indices`."""
    return {index: source.digest(index) for index in indices}


def media_identity(digests: Digests) -> str:
    """What tells a clip's file from another one of its name."""
    return hashlib.blake2b(repr(sorted(digests.items())).encode(), digest_size=16).hexdigest()
