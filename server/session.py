"""One session of a server: state, frames and takes, written through to disk."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from engine.errors import (
    InbetweenError,
    InvalidValueError,
    NotFoundError,
)
from engine.media.color import from_painting_space
from engine.plan import Paint, Plan, SourceFacts, address_of
from engine.types import Alpha, Clip, FloatArray, Frame, FrameRange, Precision
from server import state as rules
from server.changes import Changes, Topic
from server.convert import session_message
from server.database import Database
from server.frames import ReceivedFrame
from server.planning import PlanInputs, make_lenient_plan, needed_for
from server.records import DeliveredFrame, FrameKind, HostFrame, TakeRecord
from server.results import Results, imported_take, painted_take
from server.session_folder import SessionFolder, versions, write_json
from server.source_frames import Digests, SourceFrames, media_identity
from server.state import Rule, SessionState
from server.work.tasks import HostFrames, MediaFile


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
        self._sources = SourceFrames(state.id, folder, database, self._lock)
        self._results = Results(state.id, folder, database, self._lock)
        self._plan: Plan | None = None
        self._examined: set[int] = set()
        self._deleted = False

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def sequence(self) -> Mapping[int, DeliveredFrame]:
        """What the finished sequence holds."""
        return self._results.sequence

    @property
    def takes(self) -> tuple[TakeRecord, ...]:
        """In the order of their making."""
        return self._results.takes

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
            shown = self._results.take(self._state.key_frame_at(from_index).key_frame.take)
            painted = shown is not None and shown.imported
            return self.edit(
                lambda state: rules.move_key_frame(
                    state, from_index, to_index, shows_painting=painted
                )
            )

    # What the frames are made from.

    def digests(self) -> Digests:
        """Raises NotFoundError or UnreadableMediaError where the clip's file is gone."""
        with self._lock:
            return self._sources.digests(self._state)

    def refresh_media(self) -> None:
        """Looks at the clip's file again: another one may have its name by now.

        Raises as `digests`.
        """
        if self._state.from_host:
            return
        clip, digests = self._sources.look(self._state)
        with self._lock:
            if self._sources.knows(digests) and clip == self._state.clip:
                return
            self._sources.take_over(digests)
            self._plan = None
            self.edit(lambda state: rules.change_media(state, clip, media_identity(digests)))

    def change_host_clip(self, clip: Clip) -> None:
        """The clip as the host has it now; at another size its frames are to be sent again."""
        with self._lock:
            if clip.size != self._state.clip.size:
                self._forget_host_frames()
            self.edit(lambda state: rules.change_clip(state, clip))

    def close(self) -> None:
        """Lets go of the clip's file."""
        self._sources.close()

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
            source = self._sources.opened(self._state)
        return source.read(index)

    def worker_source(self) -> MediaFile | HostFrames:
        """How the worker gets the source frames."""
        return self._sources.for_worker(self._state)

    def check_index(self, index: int) -> None:
        frames = self._state.clip.frame_range
        if index not in frames:
            raise NotFoundError(
                f"Frame {index} lies outside the clip: choose a frame from {frames.first} to "
                f"{frames.last}."
            )

    def missing_sources(self, frames: FrameRange) -> list[int]:
        """The source frames that rendering `frames` needs and the host has not sent."""
        return self._sources.missing(self._state, frames)

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
            is_news = self._sources.save(frame, host_frame)
            with self._lock:
                if is_news:
                    self._examined -= {frame.index, frame.index + 1}
                self._sources.enter(frame.index, host_frame)
                self._replanned(Topic.FRAMES)

    def check_host_digest(self, index: int, digest: str) -> None:
        """Where a source frame changed in the host, none of those it sent can be trusted."""
        with self._lock:
            if self._sources.has_other(index, digest):
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
                if {index - 1, index} <= self._sources.sent and index not in self._examined
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
            plan = self.overview()
            return self._results.has(index, plan.pictures.get(index) if plan else None)

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
        self._add_take(painted_take(paint, self.folder.load_drift(paint.address)))

    def add_painting(
        self, index: int, pixels: FloatArray, description: Mapping[str, object]
    ) -> SessionState:
        """Makes a picture painted by hand the take of its key frame, which is placed where there is
        none.
        """
        address = address_of(
            "painting", frame=index, pixels=hashlib.blake2b(pixels.tobytes()).hexdigest()
        )
        with self._arrival:
            self.check_there()
            self.folder.save_take(address, pixels, Precision.FLOAT, description)
        self._add_take(imported_take(index, address))
        return self.edit(lambda state: rules.use_take(state, index, address))

    def write_description(self) -> None:
        """All that is needed to repeat the render, beside the sequence."""
        with self._lock:
            message = session_message(self._state, str(self.folder.path))
            values = {
                "session": MessageToDict(message, preserving_proto_field_name=True),
                "takes": [asdict(take) for take in self.takes],
                "sequence": {index: asdict(frame) for index, frame in self.sequence.items()},
                "source_digests": self.digests(),
                "versions": versions(),
            }
        write_json(self.folder.description, values)

    def accept(self, index: int, delivered: DeliveredFrame) -> None:
        """Puts a finished frame into the sequence."""
        self._results.accept(index, delivered)
        self._changes.tell(self.id, Topic.FRAMES)

    def _add_take(self, take: TakeRecord) -> None:
        with self._lock:
            self.check_there()
            if not self._results.add(take):
                return
            if self._plan is not None and self._plan.takes.get(take.frame) != take.address:
                self._plan = None  # Others are where the plan has them already.
        self._changes.tell(self.id, Topic.SESSION)

    def _forget_host_frames(self) -> None:
        self._sources.forget_sent()
        self._examined.clear()
        self._replanned(Topic.FRAMES)

    def _with_known_takes(self, state: SessionState) -> SessionState:
        for placed in state.key_frames:
            take = placed.key_frame.take
            known = self._results.take(take)
            if take and (known is None or known.frame != placed.index):
                raise NotFoundError(
                    f'Key frame {placed.index} has no take "{take}": choose one of its own.'
                )
        return state

    def _replanned(self, *topics: Topic) -> None:
        self._plan = None
        self._sources.renew(self._state)
        self._changes.tell(self.id, *topics)
