"""The whole way: a clip in a host, the effect, the real server, painted key frames and back."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from inbetween.v1 import session_pb2
from inbetween.v1.session_pb2_grpc import SessionServiceStub

from engine.types import FrameSize
from server.serving import RunningServer
from tests.ofx_host.host import GENERAL, Effect, OfxHost, Pixels

SIZE = FrameSize(128, 72)
COUNT = 6


@pytest.fixture
def host(render_server: RunningServer) -> Iterator[OfxHost]:
    socket = Path(render_server.address.removeprefix("unix:"))
    with OfxHost({"INBETWEEN_RUNTIME_DIR": str(socket.parent)}) as host:
        yield host


@pytest.fixture
def effect(host: OfxHost, bunny: Path, request: pytest.FixtureRequest) -> Effect:
    """On six frames of a clip that no other test has."""
    host.feed_movie(bunny, SIZE, COUNT, first=40)
    host.option(interactive="0", source_path=f"/media/{request.node.name}.mov")
    host.load()
    return quick(host.create())


def quick(effect: Effect) -> Effect:
    """With the quickest painter."""
    effect.set("painter", 1)
    effect.set("prompt", "mosaic")
    return effect


def difference(first: Pixels, second: Pixels) -> float:
    """Mean over all pixels, 0..1."""
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean() / 255)


def source(host: OfxHost, effect: Effect, frames: range) -> list[Pixels]:
    host.option(interactive="1")
    effect.set("when_missing", 2)
    pictures = [picture.pixels for picture in effect.render(frames)]
    effect.set("when_missing", 0)
    host.option(interactive="0")
    return pictures


def test_final_render_brings_painted_frames_and_the_next_one_finds_them(
    host: OfxHost, effect: Effect
) -> None:
    sources = source(host, effect, range(COUNT))
    host.messages()
    first = effect.render(range(COUNT))
    assert [picture.status for picture in first] == [0] * COUNT, host.messages()
    for before, after in zip(sources, first, strict=True):
        assert difference(before, after.pixels) > 0.03
        assert (after.pixels[..., 3] == 255).all()
    again = effect.render(reversed(range(COUNT)))
    for picture in again:
        np.testing.assert_array_equal(picture.pixels, first[picture.time].pixels)
    host.option(interactive="1")
    (viewed,) = effect.render([3])
    np.testing.assert_array_equal(viewed.pixels, first[3].pixels)


def test_keys_by_hand_decide_what_a_shot_becomes(host: OfxHost, effect: Effect) -> None:
    effect.set("key_interval", 0)
    (sources, *_) = source(host, effect, range(1))
    (without,) = effect.render([0])
    assert without.status == 0
    np.testing.assert_array_equal(without.pixels, sources)
    assert "key frame" in host.messages()[-1].text
    assert effect.press("add_key", 2) == 0
    assert host.messages() == []
    assert effect.get("session_id")
    (painted,) = effect.render([0])
    assert difference(sources, painted.pixels) > 0.03
    effect.press("remove_key", 2)
    (without,) = effect.render([0])
    np.testing.assert_array_equal(without.pixels, sources)


def test_panel_and_effect_never_undo_each_others_settings(
    host: OfxHost, effect: Effect, render_server: RunningServer
) -> None:
    with grpc.insecure_channel(render_server.address) as channel:
        sessions = SessionServiceStub(channel)

        def in_panel(look: str) -> None:
            settings = stored().settings
            settings.translation.prompt = look
            sessions.UpdateSettings(
                session_pb2.UpdateSettingsRequest(session_id=session_id, settings=settings)
            )

        def stored() -> session_pb2.Session:
            request = session_pb2.GetSessionRequest(session_id=session_id)
            return sessions.GetSession(request).session

        host.option(interactive="1")
        effect.press("update_from_panel")
        session_id = str(effect.get("session_id"))
        for look in ("frost", "ember"):  # without a render between them
            in_panel(look)
            effect.press("update_from_panel")
            assert effect.get("prompt") == look
        in_panel("pastel")
        effect.render([0])
        assert stored().settings.translation.prompt == "pastel"
        effect.set("strength", 0.5)
        effect.render([0])
        settings = stored().settings.translation
        assert (settings.prompt, settings.strength) == ("pastel", 0.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("meaning", ["OfxImageAlphaPremultiplied", "OfxImageAlphaUnPremultiplied"])
def test_what_is_masked_or_transparent_stays_source_to_the_bit(
    host: OfxHost, bunny: Path, request: pytest.FixtureRequest, dtype: Any, meaning: str
) -> None:
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    rgb = host.feed_movie(bunny, SIZE, 2, first=40)[..., :3] / 255
    alpha = np.linspace(-0.2, 1.2, SIZE.width).clip(0, 1) * np.ones((2, SIZE.height, 1))
    straight = meaning == "OfxImageAlphaUnPremultiplied"
    seen = rgb if straight else rgb * alpha[..., np.newaxis]
    frames = (np.concatenate([seen, alpha[..., np.newaxis]], axis=-1) * top).astype(dtype)
    masks = np.zeros((2, SIZE.height, SIZE.width, 1), dtype)
    masks[:, 20:] = top
    host.feed(frames, premultiplication=meaning)
    host.feed_mask(masks)
    host.option(interactive="0", source_path=f"/media/{request.node.name}.mov")
    host.load()
    effect = quick(host.create(GENERAL))
    effect.set("key_interval", 1)
    (picture,) = effect.render([1])
    assert picture.status == 0, host.messages()
    result, source = picture.pixels, frames[1]
    assert result[:20].tobytes() == source[:20].tobytes()
    assert result[..., 3].tobytes() == source[..., 3].tobytes()
    hidden = source[..., 3] == 0
    assert result[hidden].tobytes() == source[hidden].tobytes()
    painted = np.abs(result[20:, 80:, :3] / top - source[20:, 80:, :3] / top)
    assert painted.mean() > 0.03
    if not straight:
        assert (result[..., :3] <= result[..., 3:]).all()


def test_refused_setting_is_told_and_the_source_shown(host: OfxHost, effect: Effect) -> None:
    (sources, *_) = source(host, effect, range(1))
    host.messages()
    effect.set("prompt", "no such look")
    (picture,) = effect.render([0])
    np.testing.assert_array_equal(picture.pixels, sources)
    assert picture.status == 1
    assert "no such look" in host.messages()[-1].text


def test_an_effect_as_it_is_created_starts_the_server_and_paints_from_words(
    runtime: Path, tmp_path: Path, bunny: Path
) -> None:
    environment = {"INBETWEEN_RUNTIME_DIR": str(runtime), "INBETWEEN_HOME": str(tmp_path)}
    try:
        with OfxHost(environment) as host:
            sources = host.feed_movie(bunny, SIZE, count=2)
            host.option(interactive="0")
            host.load()
            effect = host.create()
            (picture,) = effect.render([0])
            assert picture.status == 0, host.messages()
            assert difference(sources[0], picture.pixels) > 0.03
            host.option(interactive="1")
            (viewed,) = effect.render([0])
            np.testing.assert_array_equal(viewed.pixels, picture.pixels)
    finally:
        end_server(runtime)


def end_server(runtime: Path) -> None:
    told = re.search(r"process (\d+) answers", (runtime / "server.log").read_text())
    if told:
        os.kill(int(told[1]), signal.SIGTERM)
