"""Key frames painted against an anchor that the editor chose, from the call to the picture."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from inbetween.v1.frame_pb2 import FrameRange
from inbetween.v1.render_pb2 import (
    PICTURE_TAKE,
    EstimateCostRequest,
    ReadFrameRequest,
    StartJobRequest,
)
from inbetween.v1.session_pb2 import (
    DeleteKeyFrameRequest,
    EditKeyFrameRequest,
    GetSessionRequest,
    Job,
    JobState,
    KeyFrame,
    KeyFrameState,
    MoveKeyFrameRequest,
    Session,
    SetKeyFramesRequest,
    Take,
)
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    TranslationSettings,
)

from tests.server.conftest import Caller, jobs_until_end
from tests.server.test_key_frames import import_painting, painting

OUT_OF_DATE = KeyFrameState.KEY_FRAME_STATE_OUT_OF_DATE
READY = KeyFrameState.KEY_FRAME_STATE_READY
AGAINST_OLDER = KeyFrameState.KEY_FRAME_STATE_PAINTED_AGAINST_OLDER
DIFFUSION = Settings(
    keys=KeySettings(key_interval=0),
    translation=TranslationSettings(
        painter="diffusion", prompt="an oil painting", steps=4, strength=0.6
    ),
    propagation=PropagationSettings(quality="draft"),
)


@dataclass
class Clip:
    """A session whose key frames are painted by the built-in model."""

    caller: Caller
    id: str

    @property
    def session(self) -> Session:
        return self.caller.sessions.GetSession(GetSessionRequest(session_id=self.id)).session

    def key(self, index: int) -> KeyFrame:
        return next(key for key in self.session.key_frames if key.index == index)

    def take(self, index: int) -> Take:
        """The one in use."""
        key = self.key(index)
        return next(take for take in key.takes if take.address == key.take)

    def states(self) -> dict[int, KeyFrameState.ValueType]:
        return {key.index: key.state for key in self.session.key_frames}

    def edit(self, key: KeyFrame) -> None:
        self.caller.sessions.EditKeyFrame(EditKeyFrameRequest(session_id=self.id, key_frame=key))

    def paint(self, first: int = 0, last: int = 11, *, renew: bool = False) -> Job:
        request = StartJobRequest(
            session_id=self.id,
            range=FrameRange(first=first, last=last),
            keys_only=True,
            renew=renew,
        )
        with self.caller.watching(self.id) as events:
            next(events)
            *_, job = jobs_until_end(events, self.caller.render.StartJob(request).job.id)
        assert job.state == JobState.JOB_STATE_DONE, job.error
        return job

    def paintings_to_renew(self) -> int:
        request = EstimateCostRequest(session_id=self.id, keys_only=True, renew=True)
        return self.caller.render.EstimateCost(request).to_do.paintings

    def import_painting(self, index: int) -> None:
        """A blue one."""
        import_painting(self.caller, self.session, index, painting((96, 64), (60, 110, 220)))

    def blueness(self, index: int, take: Take) -> float:
        """Mean of blue less red, values 0..1."""
        request = ReadFrameRequest(
            session_id=self.id, index=index, picture=PICTURE_TAKE, take=take.address
        )
        pieces = b"".join(part.frame.pixels for part in self.caller.render.ReadFrame(request))
        pixels = np.frombuffer(pieces, np.uint8).reshape(64, 96, 4) / 255
        return float(np.mean(pixels[..., 2] - pixels[..., 0]))

    def side_car(self, take: str) -> dict[str, object]:
        path = Path(self.session.folder).parent / "takes" / f"{take}.json"
        read: dict[str, object] = json.loads(path.read_text())
        return read


OpenClip = Callable[..., Clip]


@pytest.fixture
def open_clip(caller: Caller, tiny_clip: Path) -> OpenClip:
    def open_(*keys: int | KeyFrame) -> Clip:
        session = caller.open(tiny_clip, settings=DIFFUSION)
        placed = [key if isinstance(key, KeyFrame) else KeyFrame(index=key) for key in keys]
        caller.sessions.SetKeyFrames(SetKeyFramesRequest(session_id=session.id, key_frames=placed))
        return Clip(caller, session.id)

    return open_


def test_a_mark_offers_to_paint_later_keys_again_and_changes_nothing_by_itself(
    open_clip: OpenClip,
) -> None:
    clip = open_clip(0, 3, 6, 9)
    clip.paint()
    first = {index: clip.take(index) for index in (0, 3, 6, 9)}
    assert list(first[9].painted_against) == [first[0].address, first[6].address]
    assert {index: clip.key(index).anchor_index for index in (3, 6, 9)} == {3: 0, 6: 0, 9: 0}
    assert not clip.key(0).HasField("anchor_index")

    clip.edit(KeyFrame(index=3, anchor=True))
    assert clip.states() == {0: READY, 3: READY, 6: AGAINST_OLDER, 9: AGAINST_OLDER}
    assert clip.key(9).anchor_index == 3
    assert clip.key(9).take == first[9].address
    assert clip.paint().done.paintings == 0
    assert clip.paintings_to_renew() == 2

    assert clip.paint(6, 6, renew=True).done.paintings == 1
    assert list(clip.take(6).painted_against) == [first[3].address]
    assert clip.states() == {0: READY, 3: READY, 6: READY, 9: AGAINST_OLDER}
    assert clip.paint(renew=True).done.paintings == 1
    assert list(clip.take(9).painted_against) == [first[3].address, clip.take(6).address]
    assert set(clip.states().values()) == {READY}
    assert clip.paintings_to_renew() == 0

    clip.edit(KeyFrame(index=3))
    assert clip.take(9).address == first[9].address
    assert set(clip.states().values()) == {READY}


def test_a_changed_key_frame_is_painted_alone_and_later_ones_are_told_as_older(
    open_clip: OpenClip,
) -> None:
    clip = open_clip(0, 3, 6)
    clip.paint()
    clip.edit(KeyFrame(index=3, seed=8))
    assert clip.states() == {0: READY, 3: OUT_OF_DATE, 6: AGAINST_OLDER}
    assert clip.paint().done.paintings == 1
    assert clip.states() == {0: READY, 3: READY, 6: AGAINST_OLDER}


def test_an_anchor_moves_and_goes_with_its_key_frame(open_clip: OpenClip) -> None:
    clip = open_clip(0, KeyFrame(index=3, anchor=True), 9)
    clip.caller.sessions.MoveKeyFrame(
        MoveKeyFrameRequest(session_id=clip.id, from_index=3, to_index=5)
    )
    assert clip.key(5).anchor
    assert clip.key(9).anchor_index == 5
    clip.caller.sessions.DeleteKeyFrame(DeleteKeyFrameRequest(session_id=clip.id, index=5))
    assert clip.key(9).anchor_index == 0


def test_a_painting_by_hand_is_anchor_and_previous_key_frame(open_clip: OpenClip) -> None:
    clip = open_clip(0, 9)
    clip.import_painting(6)
    clip.paint()
    before = clip.take(9)
    by_hand = clip.take(6)
    assert list(before.painted_against) == [clip.take(0).address, by_hand.address]
    assert not by_hand.HasField("drift")

    clip.edit(KeyFrame(index=6, chosen_take=by_hand.address, anchor=True))
    assert clip.states()[9] == AGAINST_OLDER
    assert clip.paint(renew=True).done.paintings == 1
    against = clip.take(9)
    assert list(against.painted_against) == [by_hand.address]
    assert against.drift.anchor_index == 6
    # It is a blue painting, and what was painted before was not.
    assert clip.blueness(6, by_hand) > 0.2
    assert clip.blueness(9, against) > clip.blueness(9, before) + 0.1


def test_every_take_tells_its_drift_from_the_anchor_it_was_painted_against(
    open_clip: OpenClip,
) -> None:
    clip = open_clip(0, 4, KeyFrame(index=8, strength=1.0, prompt="a woodcut", seed=3))
    clip.paint()
    assert not clip.take(0).HasField("drift")
    near, far = clip.take(4).drift, clip.take(8).drift
    assert (near.anchor_index, far.anchor_index) == (0, 0)
    assert not near.is_large
    assert far.structure > near.structure > 0
    told = clip.side_car(clip.take(4).address)["drift"]
    assert told == {"color": near.color, "structure": near.structure}
