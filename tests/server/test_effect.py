"""An effect's calls: frames from a host in, finished frames out."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from inbetween.v1.frame_pb2 import (
    ALPHA_OPAQUE,
    ALPHA_PREMULTIPLIED,
    PIXEL_TYPE_FLOAT32,
    PIXEL_TYPE_UINT8,
    PIXEL_TYPE_UINT16,
    FrameHeader,
    FramePiece,
    FrameRange,
    FrameSize,
    PixelType,
    Rational,
)
from inbetween.v1.render_pb2 import (
    ListMissingSourceFramesRequest,
    RenderFrameRequest,
    RenderFrameResponse,
    SendSourceFramesRequest,
    StartJobRequest,
)
from inbetween.v1.session_pb2 import (
    Clip,
    EditKeyFrameRequest,
    GetSessionRequest,
    HostClip,
    Job,
    JobState,
    KeyFrame,
    OpenSessionRequest,
    Session,
    UpdateSettingsRequest,
)
from inbetween.v1.settings_pb2 import (
    KeySettings,
    PropagationSettings,
    Settings,
    TranslationSettings,
)
from numpy.typing import NDArray

from server.serving import RunningServer
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.server.conftest import QUICK, Caller, Pixels, jobs_until_end
from tests.server.test_key_frames import import_painting, painting

DTYPES: dict[int, str] = {
    PIXEL_TYPE_UINT8: "<u1",
    PIXEL_TYPE_UINT16: "<u2",
    PIXEL_TYPE_FLOAT32: "<f4",
}


@dataclass
class Answer:
    """All that one render call brought."""

    session_id: str = ""
    needed: list[int] = field(default_factory=list)
    not_ready: int = 0
    source_shown: str = ""
    header: FrameHeader | None = None
    pixels: NDArray[Any] = field(default_factory=lambda: np.zeros(0))


@dataclass
class Effect:
    """Plays the effect: its parameters, its clip, and a host that hands out frames."""

    caller: Caller
    frames: Sequence[Pixels]
    identity: str
    settings: Settings
    session_id: str = ""
    version: str = ""
    """Of the source frames in the host."""
    last: int = 11
    sent: list[int] = field(default_factory=list)
    """Source frames, in the order of their sending."""

    @property
    def clip(self) -> Clip:
        return Clip(
            host=HostClip(application="Test host 1.0", identity=self.identity),
            range=FrameRange(first=0, last=self.last),
            size=FrameSize(width=96, height=64),
            frame_rate=Rational(numerator=25, denominator=1),
        )

    def ask(
        self, index: int, *, wait: bool, pixel_type: PixelType.ValueType = PIXEL_TYPE_UINT8
    ) -> Answer:
        return _heard(self.call(index, wait=wait, pixel_type=pixel_type))

    def call(
        self, index: int, *, wait: bool, pixel_type: PixelType.ValueType = PIXEL_TYPE_UINT8
    ) -> Any:
        request = RenderFrameRequest(
            session_id=self.session_id,
            clip=self.clip,
            settings=self.settings,
            index=index,
            source_digest=f"{index}{self.version}",
            size=FrameSize(width=96, height=64),
            pixel_type=pixel_type,
            alpha=ALPHA_OPAQUE,
            wait=wait,
        )
        return self.caller.render.RenderFrame(request, timeout=PATIENCE_SECONDS)

    def send(self, session_id: str, indices: Iterable[int]) -> None:
        indices = list(indices)
        self.sent += indices
        answer = self.caller.render.SendSourceFrames(self._parts(session_id, indices))
        assert answer.received == len(indices)

    def render(self, index: int) -> Answer:
        """As in a final render: sends what is asked for until the frame is there."""
        while True:
            answer = self.ask(index, wait=True)
            if not answer.needed:
                return answer
            self.send(answer.session_id, answer.needed)

    def _parts(self, session_id: str, indices: list[int]) -> Iterator[SendSourceFramesRequest]:
        yield SendSourceFramesRequest(session_id=session_id)
        for index in indices:
            rgba = np.dstack([self.frames[index], np.full((64, 96), 255, np.uint8)])
            for piece in pieces(index, rgba.tobytes(), digest=f"{index}{self.version}"):
                yield SendSourceFramesRequest(frame=piece)


def pieces(
    index: int,
    pixels: bytes,
    pixel_type: PixelType.ValueType = PIXEL_TYPE_UINT8,
    digest: str = "",
) -> Iterator[FramePiece]:
    header = FrameHeader(
        index=index,
        size=FrameSize(width=96, height=64),
        pixel_type=pixel_type,
        alpha=ALPHA_OPAQUE,
        digest=digest,
    )
    yield FramePiece(header=header)
    for start in range(0, len(pixels), 10_000):
        yield FramePiece(pixels=pixels[start : start + 10_000])


def _heard(responses: Iterable[RenderFrameResponse]) -> Answer:
    answer, pixels = Answer(), bytearray()
    for response in responses:
        match response.WhichOneof("answer"):
            case "session_id":
                answer.session_id = response.session_id
            case "source_frames_needed":
                answer.needed = list(response.source_frames_needed.indices)
            case "not_ready":
                answer.not_ready += 1
            case "source_shown":
                answer.source_shown = response.source_shown.reason
            case "frame" if response.frame.WhichOneof("piece") == "header":
                answer.header = response.frame.header
            case _:
                pixels += response.frame.pixels
    if answer.header is not None:
        values = np.frombuffer(bytes(pixels), DTYPES[answer.header.pixel_type])
        answer.pixels = values.reshape(64, 96, 4)
    return answer


@pytest.fixture
def effect(caller: Caller, footage: list[Pixels], request: pytest.FixtureRequest) -> Effect:
    settings = Settings(
        keys=KeySettings(key_interval=4),
        translation=QUICK.translation,
        propagation=PropagationSettings(quality="draft"),
    )
    return Effect(caller, footage, request.node.name, settings)


def session_of(effect: Effect, answer: Answer) -> Session:
    request = GetSessionRequest(session_id=answer.session_id)
    return effect.caller.sessions.GetSession(request).session


def test_a_final_render_sends_only_the_frames_of_its_interval(effect: Effect) -> None:
    answer = effect.render(2)
    assert effect.sent == [0, 1, 2, 3, 4]
    assert answer.header is not None
    assert answer.pixels[..., 3].min() == 255
    assert answer.pixels[..., :3].std() > 10
    effect.render(3)
    assert effect.sent == [0, 1, 2, 3, 4]


def test_a_key_frame_alone_needs_only_itself(effect: Effect) -> None:
    effect.render(4)
    assert effect.sent == [4]


def test_a_host_is_asked_for_an_anchor_that_lies_before_the_frames_it_renders(
    effect: Effect,
) -> None:
    effect.settings.translation.CopyFrom(
        TranslationSettings(painter="diffusion", steps=4, strength=0.6)
    )
    effect.settings.keys.key_interval = 0
    request = OpenSessionRequest(clip=effect.clip, settings=effect.settings)
    session = effect.caller.sessions.OpenSession(request).session
    effect.caller.set_keys(session.id, [0, 2, 6, 8])
    effect.send(session.id, [2])
    by_hand = import_painting(effect.caller, session, 2, painting((96, 64), (200, 90, 30)))
    anchor = KeyFrame(index=2, anchor=True, chosen_take=by_hand.key_frames[1].take)
    effect.caller.sessions.EditKeyFrame(
        EditKeyFrameRequest(session_id=session.id, key_frame=anchor)
    )
    effect.render(7)
    assert effect.sent == [2, *range(3, 9)]
    keys = session_of(effect, effect.ask(7, wait=False)).key_frames
    assert list(keys[2].takes[0].painted_against) == [anchor.chosen_take]
    assert list(keys[3].takes[0].painted_against) == [anchor.chosen_take, keys[2].take]
    effect.render(1)
    assert effect.sent == [2, *range(3, 9), 0, 1]


def test_every_frame_of_the_clip_comes_out_in_any_order(effect: Effect) -> None:
    for index in (11, 5, 0, 7, 9, 2, 1, 3, 4, 6, 8, 10):
        assert effect.render(index).header is not None
    assert sorted(effect.sent) == list(range(12))


def test_an_interactive_render_never_starts_work(effect: Effect) -> None:
    answer = effect.ask(2, wait=False)
    assert (answer.not_ready, answer.needed, answer.header) == (1, [], None)
    effect.send(answer.session_id, range(5))
    assert effect.ask(2, wait=False).header is None
    request = GetSessionRequest(session_id=answer.session_id)
    assert not effect.caller.sessions.GetSession(request).jobs


def test_an_interactive_render_shows_the_older_frame_until_there_is_a_new_one(
    effect: Effect,
) -> None:
    old = effect.render(2)
    effect.settings.translation.prompt = "frost"
    stand_in = effect.ask(2, wait=False)
    assert stand_in.not_ready == 1
    np.testing.assert_array_equal(stand_in.pixels, old.pixels)
    new = effect.render(2)
    assert not np.array_equal(new.pixels, old.pixels)
    np.testing.assert_array_equal(effect.ask(2, wait=False).pixels, new.pixels)


def test_without_key_frames_the_source_is_shown_with_its_reason(effect: Effect) -> None:
    effect.settings.keys.key_interval = 0
    for wait in (True, False):
        answer = effect.ask(2, wait=wait)
        assert answer.source_shown.startswith("No key frame in this shot")
    assert not effect.sent


def test_the_effect_does_not_undo_what_the_panel_changed(effect: Effect) -> None:
    answer = effect.ask(2, wait=False)
    session = session_of(effect, answer)
    session.settings.translation.prompt = "frost"
    session.settings.propagation.uniformity = 2000
    effect.caller.sessions.UpdateSettings(
        UpdateSettingsRequest(session_id=session.id, settings=session.settings)
    )
    after = session_of(effect, effect.ask(3, wait=False))
    assert after.settings.translation.prompt == "frost"

    effect.settings.translation.prompt = "ember"
    changed = session_of(effect, effect.ask(3, wait=False))
    assert changed.revision == after.revision + 1
    assert changed.settings.translation.prompt == "ember"
    assert changed.settings.propagation.uniformity == 2000

    effect.settings.CopyFrom(changed.settings)  # Update from panel
    assert session_of(effect, effect.ask(3, wait=False)).revision == changed.revision


def test_a_clip_that_changed_in_the_host_is_sent_anew(effect: Effect) -> None:
    old = effect.render(2)
    effect.frames = [255 - frame for frame in effect.frames]
    effect.version = " negative"
    effect.sent.clear()
    new = effect.render(2)
    assert effect.sent == [0, 1, 2, 3, 4]
    assert not np.array_equal(new.pixels, old.pixels)


def test_the_same_frames_sent_again_cost_nothing(effect: Effect) -> None:
    old = effect.render(2)
    effect.version = " copied"
    new = effect.render(2)
    np.testing.assert_array_equal(new.pixels, old.pixels)
    assert old.session_id == new.session_id


def test_cuts_are_found_in_the_frames_that_the_host_sent(
    effect: Effect, two_shot_footage: list[Pixels]
) -> None:
    effect.frames = two_shot_footage
    effect.settings.keys.key_interval = 20
    answer = effect.render(8)
    assert answer.header is not None
    session = session_of(effect, answer)
    assert list(session.cuts) == [6]
    assert [key.index for key in session.key_frames] == [0, 5, 6, 11]


def test_a_trimmed_clip_keeps_its_session_and_key_frames(effect: Effect) -> None:
    whole = effect.render(10)
    effect.last = 6
    trimmed = session_of(effect, effect.ask(3, wait=False))
    assert trimmed.id == whole.session_id
    assert [key.index for key in trimmed.key_frames] == [0, 4, 6]
    effect.last = 11
    effect.sent.clear()
    effect.render(10)
    assert effect.sent == []


def test_floats_and_shorts_come_back_as_asked(effect: Effect) -> None:
    bytes_ = effect.render(0).pixels
    for pixel_type, scale in ((PIXEL_TYPE_UINT16, 65535), (PIXEL_TYPE_FLOAT32, 1)):
        pixels = effect.ask(0, wait=True, pixel_type=pixel_type).pixels
        np.testing.assert_allclose(
            pixels.astype(np.float64) / scale, bytes_ / 255, atol=0.5001 / 255
        )


def test_a_waiting_call_that_ends_cancels_the_work_only_it_asked_for(
    effect: Effect, render_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    cancel = render_server.jobs.cancel

    def recorded(job_id: str) -> Job:
        job = cancel(job_id)
        cancelled.append(job_id)
        return job

    monkeypatch.setattr(render_server.jobs, "cancel", recorded)
    session_id = effect.render(0).session_id
    effect.send(session_id, range(1, 12))
    with paused(render_server.jobs.worker_process_id):
        calls = [effect.call(index, wait=True) for index in (1, 2)]
        jobs = [begun(call) for call in calls]
        assert jobs[0].id == jobs[1].id
        calls[0].cancel()
        time.sleep(0.2)
        assert job_now(effect, session_id).state == JobState.JOB_STATE_RUNNING
        calls[1].cancel()
        wait_until(lambda: cancelled)
    with effect.caller.watching(session_id) as events:
        end = list(jobs_until_end(events, jobs[0].id))[-1].state
    assert end == JobState.JOB_STATE_CANCELLED


def test_a_waiting_call_that_ends_leaves_the_work_that_the_panel_asked_for(
    effect: Effect, render_server: RunningServer
) -> None:
    session_id = effect.render(0).session_id
    effect.send(session_id, range(1, 12))
    with paused(render_server.jobs.worker_process_id):
        asked = effect.caller.render.StartJob(StartJobRequest(session_id=session_id)).job
        call = effect.call(1, wait=True)
        assert begun(call).id == asked.id
        call.cancel()
        time.sleep(0.2)
    with effect.caller.watching(session_id) as events:
        end = list(jobs_until_end(events, asked.id))[-1].state
    assert end == JobState.JOB_STATE_DONE


@contextmanager
def paused(process: int | None) -> Iterator[None]:
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def begun(call: Iterable[RenderFrameResponse]) -> Job:
    """The job that a waiting call waits for."""
    return next(
        answer.not_ready.job for answer in call if answer.WhichOneof("answer") == "not_ready"
    )


def job_now(effect: Effect, session_id: str) -> Job:
    request = GetSessionRequest(session_id=session_id)
    return effect.caller.sessions.GetSession(request).jobs[0]


def test_a_job_on_frames_that_the_host_has_not_sent_is_refused(effect: Effect) -> None:
    answer = effect.ask(2, wait=False)
    effect.send(answer.session_id, [0, 1])
    with pytest.raises(grpc.RpcError) as refusal:
        effect.caller.render.StartJob(StartJobRequest(session_id=answer.session_id))
    assert refusal.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "has not sent 10 source frames" in str(refusal.value.details())


def test_a_button_pressed_before_the_first_render_brings_the_values_of_the_effect(
    effect: Effect,
) -> None:
    effect.settings = Settings(keys=KeySettings(key_interval=0))
    request = OpenSessionRequest(clip=effect.clip, settings=effect.settings)
    session = effect.caller.sessions.OpenSession(request).session
    assert not session.key_frames
    session.settings.translation.prompt = "woodcut"
    edit = UpdateSettingsRequest(session_id=session.id, settings=session.settings)
    effect.caller.sessions.UpdateSettings(edit)
    again = effect.caller.sessions.OpenSession(request).session
    assert again.id == session.id
    assert again.settings.translation.prompt == "woodcut"


def test_the_frames_that_a_host_has_to_send_are_listed(effect: Effect) -> None:
    answer = effect.ask(2, wait=False)
    effect.send(answer.session_id, [0, 1])
    request = ListMissingSourceFramesRequest(session_id=answer.session_id)
    missing = effect.caller.render.ListMissingSourceFrames(request).indices
    assert list(missing) == list(range(2, 12))


WHOLE = bytes(96 * 64 * 4)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(list(pieces(0, WHOLE[:-1])), id="a byte short"),
        pytest.param(list(pieces(0, WHOLE + b"x")), id="a byte long"),
        pytest.param(list(pieces(0, WHOLE))[1:], id="no header"),
        pytest.param(list(pieces(0, WHOLE))[:2] + list(pieces(1, WHOLE)), id="header too early"),
        pytest.param(list(pieces(99, WHOLE)), id="outside the clip"),
        pytest.param([FramePiece(header=FrameHeader(index=0))], id="no size"),
        pytest.param(
            [
                FramePiece(
                    header=FrameHeader(
                        size=FrameSize(width=2**31 - 1, height=2**31 - 1),
                        pixel_type=PIXEL_TYPE_FLOAT32,
                        alpha=ALPHA_OPAQUE,
                    )
                )
            ],
            id="too large",
        ),
        pytest.param(
            [
                FramePiece(
                    header=FrameHeader(
                        size=FrameSize(width=2, height=2),
                        pixel_type=PIXEL_TYPE_UINT8,
                        alpha=ALPHA_PREMULTIPLIED,
                    )
                ),
                FramePiece(pixels=bytes(16)),
            ],
            id="not the clip's size",
        ),
        pytest.param(
            list(pieces(0, np.full(96 * 64 * 4, np.nan, "<f4").tobytes(), PIXEL_TYPE_FLOAT32)),
            id="not numbers",
        ),
        pytest.param([FramePiece()], id="empty"),
    ],
)
def test_a_malformed_frame_is_refused_and_the_next_is_taken(
    effect: Effect, parts: list[FramePiece]
) -> None:
    session_id = effect.ask(0, wait=False).session_id
    requests = [
        SendSourceFramesRequest(session_id=session_id),
        *(SendSourceFramesRequest(frame=part) for part in parts),
    ]
    with pytest.raises(grpc.RpcError) as refusal:
        effect.caller.render.SendSourceFrames(iter(requests))
    assert refusal.value.code() in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    )
    effect.send(session_id, [0])
