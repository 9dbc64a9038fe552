"""What a key frame sets for itself, in the picture that is painted."""

import json
from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1.render_pb2 import PICTURE_TAKE, ReadFrameRequest
from inbetween.v1.session_pb2 import EditKeyFrameRequest, JobState, KeyFrame, Session
from inbetween.v1.settings_pb2 import KeySettings, Settings, TranslationSettings

from engine.plan import OWN_SETTINGS
from server.commands.options import key_fields
from tests.server.conftest import Caller, Pixels

VALUES: dict[str, str | float] = {
    "prompt": "a woodcut",
    "prompt_addition": "sepia",
    "negative_prompt": "a pastel drawing",
    "strength": 0.9,
    "seed": 11,
    "controlnet_weight": 0.1,
}
TEXT = "x" * 10_001


def test_the_table_of_the_engine_and_that_of_the_protocol_are_the_same() -> None:
    of_protocol = {field.name for field in key_fields()}
    assert of_protocol == {*OWN_SETTINGS, "prompt_addition", "anchor"}
    # The built-in model has one ControlNet: the weight of a second one is planned with the others.
    assert {*VALUES, "anchor", "controlnet_2_weight"} == of_protocol


@pytest.fixture(scope="module")
def session(caller: Caller, tiny_clip: Path) -> Session:
    settings = Settings(
        keys=KeySettings(key_interval=0),
        translation=TranslationSettings(
            painter="diffusion", prompt="an oil painting", steps=4, guidance_scale=3
        ),
    )
    return caller.open(tiny_clip, keys=[5], settings=settings)


def painted(caller: Caller, session: Session, key: KeyFrame) -> Pixels:
    """The take of the key frame with these values of its own."""
    request = EditKeyFrameRequest(session_id=session.id, key_frame=key)
    caller.sessions.EditKeyFrame(request)
    job = caller.run(session.id, keys_only=True)
    assert job.state == JobState.JOB_STATE_DONE, job.error
    (shown,) = caller.sessions.EditKeyFrame(request).session.key_frames
    asked = ReadFrameRequest(session_id=session.id, index=5, picture=PICTURE_TAKE, take=shown.take)
    pieces = b"".join(part.frame.pixels for part in caller.render.ReadFrame(asked))
    return np.frombuffer(pieces, np.uint8).reshape(64, 96, 4)


@pytest.mark.parametrize("name", VALUES)
def test_each_of_them_changes_the_painting_and_is_kept(
    caller: Caller, session: Session, name: str
) -> None:
    own = KeyFrame(index=5, **{name: VALUES[name]})  # type: ignore[arg-type]
    before, after = painted(caller, session, KeyFrame(index=5)), painted(caller, session, own)
    assert np.abs(after.astype(int) - before).mean() > 0.5
    request = EditKeyFrameRequest(session_id=session.id, key_frame=own)
    (kept,) = caller.sessions.EditKeyFrame(request).session.key_frames
    assert getattr(kept, name) == VALUES[name]
    told = json.loads((Path(session.folder).parent / "takes" / f"{kept.take}.json").read_text())
    asked = VALUES[name] if name != "prompt_addition" else "an oil painting, sepia"
    assert told["paint"]["settings"][name.removesuffix("_addition")] == asked


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (KeyFrame(index=5, controlnet_weight=3), "controlnet_weight is 3: choose a number from 0"),
        (KeyFrame(index=5, seed=-1), "seed is -1: choose a number from 0"),
        (KeyFrame(index=5, negative_prompt=TEXT), "negative_prompt has 10001 characters"),
        (KeyFrame(index=5, prompt_addition=TEXT), "prompt_addition has 10001 characters"),
    ],
)
def test_a_value_that_none_of_them_can_have_is_refused(
    caller: Caller, session: Session, wrong: KeyFrame, sentence: str
) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        caller.sessions.EditKeyFrame(EditKeyFrameRequest(session_id=session.id, key_frame=wrong))
    assert str(refusal.value.details()).startswith(sentence)
