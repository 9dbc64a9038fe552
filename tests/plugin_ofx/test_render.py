"""Pictures through the effect: host, wire and back."""

import time

import grpc
import numpy as np
import pytest
from inbetween.v1 import frame_pb2, render_pb2, session_pb2

from tests.ofx_host.host import Effect, OfxHost, OptionValue
from tests.patience import wait_until
from tests.plugin_ofx.conftest import Answers, FakeServer, clip, framed, negative

LAYOUTS: dict[str, dict[str, OptionValue]] = {
    "plain": {},
    "negative row bytes": {"negative_rows": True},
    "padded rows": {"row_padding": 52},
    "negative padded rows": {"negative_rows": True, "row_padding": 20},
    "bounds away from 0": {"offset_x": -17, "offset_y": 31},
}


def created(host: OfxHost) -> Effect:
    host.load()
    return host.create()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_result_fits_the_source_in_every_layout_and_depth(
    host: OfxHost, server: FakeServer, layout: str, dtype: type[np.generic], channels: int
) -> None:
    frames = clip(channels=channels, dtype=dtype)
    host.feed(frames, **LAYOUTS[layout])
    for picture in created(host).render([3, 0]):
        assert picture.status == 0
        np.testing.assert_array_equal(picture.pixels, negative(frames[picture.time]))


def test_alpha_of_a_premultiplied_clip_is_told_and_kept(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    host.feed(frames, premultiplication="OfxImageAlphaUnPremultiplied")
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels[..., 3], frames[1][..., 3])
    assert server.frames[1][0].alpha == frame_pb2.ALPHA_STRAIGHT
    assert server.requests[-1].alpha == frame_pb2.ALPHA_STRAIGHT


def test_output_larger_than_the_source_is_empty_around_it(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    host.feed(frames, output_margin=5, offset_x=8, offset_y=-3)
    (picture,) = created(host).render([2])
    np.testing.assert_array_equal(picture.pixels[5:-5, 5:-5], negative(frames[2]))
    around = picture.pixels.copy()
    around[5:-5, 5:-5] = 0
    assert not around.any()


def test_only_the_render_window_is_written(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    host.feed(frames, window_inset=7)
    (picture,) = created(host).render([2])
    np.testing.assert_array_equal(picture.pixels[7:-7, 7:-7], negative(frames[2])[7:-7, 7:-7])


def test_named_source_frames_are_sent_once_each(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    server.needs = lambda index: [0, 2, 4, index]
    host.feed(frames, interactive="0")
    effect = created(host)
    effect.render([3, 3, 2])
    assert sorted(server.frames) == [0, 2, 3, 4]
    for index, (_, pixels) in server.frames.items():
        np.testing.assert_array_equal(pixels, frames[index])
    assert len(server.requests) == 4


def test_frames_of_more_than_a_megabyte_travel_in_pieces(host: OfxHost, server: FakeServer) -> None:
    frames = clip(count=1, height=360, width=640, dtype=np.float32)
    host.feed(frames)
    (picture,) = created(host).render([0])
    np.testing.assert_array_equal(picture.pixels, negative(frames[0]))


def test_a_frame_that_changed_in_the_host_is_sent_anew(host: OfxHost, server: FakeServer) -> None:
    host.feed(clip())
    effect = created(host)
    effect.render([1])
    changed = clip()[::-1].copy()
    host.feed(changed)
    (picture,) = effect.render([1])
    np.testing.assert_array_equal(picture.pixels, negative(changed[1]))


def test_parameters_and_clip_travel_with_each_render(host: OfxHost, server: FakeServer) -> None:
    host.feed(clip(), frame_rate=29.97002997, first_time=100)
    effect = created(host)
    effect.set("prompt", 'two\nlines, a "quote" and ünïcode')
    effect.set("strength", 0.25)
    effect.set("seed", 12)
    effect.set("painter", 1)
    effect.render([102])
    request = server.requests[-1]
    assert request.settings.translation.prompt == 'two\nlines, a "quote" and ünïcode'
    assert request.settings.translation.strength == 0.25
    assert request.settings.translation.seed == 12
    assert request.settings.translation.painter == "style"
    assert request.settings.propagation.patch_size == 5
    assert request.index == 102
    assert (request.clip.range.first, request.clip.range.last) == (100, 104)
    assert (request.clip.size.width, request.clip.size.height) == (64, 36)
    rate = request.clip.frame_rate
    assert (rate.numerator, rate.denominator) == (30000, 1001)
    assert request.clip.host.application == "Inbetween test host 1.0"


def test_source_frame_and_path_of_the_host_identify_a_frame(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    host.feed(frames, source_path="/media/a.mov", source_frame_offset=1000, interactive="0")
    server.needs = lambda index: [1001, 1003]
    created(host).render([3])
    request = server.requests[-1]
    assert request.index == 1003
    assert request.clip.host.identity == "/media/a.mov"
    assert (request.clip.range.first, request.clip.range.last) == (1000, 1004)
    np.testing.assert_array_equal(server.frames[1001][1], frames[1])


def test_instances_render_in_several_threads_at_once(host: OfxHost, server: FakeServer) -> None:
    frames = clip(count=24)
    host.feed(frames)
    effect = created(host)
    effects = [effect, *(effect.clone() for _ in range(5))]
    pictures = host.render(effects, [*range(24), *range(24)])
    assert len(pictures) == 48
    for picture in pictures:
        np.testing.assert_array_equal(picture.pixels, negative(frames[picture.time]))
    for one in effects:
        one.destroy()


def not_ready(request: render_pb2.RenderFrameRequest, context: grpc.ServicerContext) -> Answers:
    """Rendering goes on for a second; an old picture for who does not wait."""
    for step in range(10 if request.wait else 1):
        job = session_pb2.Job(fraction=step / 10)
        yield render_pb2.RenderFrameResponse(not_ready=render_pb2.NotReady(job=job))
        if request.wait:
            time.sleep(0.1)
    shape = (request.size.height, request.size.width, 4)
    value = 200 if request.wait else 100
    yield from framed(request, np.full(shape, value, np.uint8))


@pytest.mark.parametrize(
    ("when_missing", "interactive", "shown"),
    [
        (0, "1", "older"),
        (0, "absent", "older"),
        (0, "0", "finished"),
        (1, "1", "finished"),
        (2, "1", "source"),
        (2, "0", "source"),
    ],
)
def test_frame_that_is_not_rendered_yet_is_shown_as_chosen(
    host: OfxHost, server: FakeServer, when_missing: int, interactive: str, shown: str
) -> None:
    frames = clip()
    server.answer = not_ready
    host.feed(frames, interactive=interactive)
    effect = created(host)
    effect.set("when_missing", when_missing)
    (picture,) = effect.render([1])
    expected = {"older": 100, "finished": 200, "source": frames[1]}[shown]
    assert (picture.pixels == expected).all()
    assert (host.counters()["progress_updates"] > 3) == (shown == "finished")
    if shown != "finished":
        assert "Render clip" in host.messages()[-1].text


def test_a_wait_ends_when_the_host_aborts(host: OfxHost, server: FakeServer) -> None:
    ended: list[bool] = []

    def never(request: render_pb2.RenderFrameRequest, context: grpc.ServicerContext) -> Answers:
        context.add_callback(lambda: ended.append(True))
        yield render_pb2.RenderFrameResponse(not_ready=render_pb2.NotReady())
        while context.is_active():
            time.sleep(0.02)

    frames = clip()
    server.answer = never
    host.feed(frames, interactive="0", abort_after=6)
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1])
    wait_until(lambda: ended)


def test_a_wait_ends_when_the_user_closes_the_progress_window(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip()
    server.answer = not_ready
    host.feed(frames, interactive="0", cancel_after=2)
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1])


def test_shot_without_key_frames_shows_the_source_and_says_why(
    host: OfxHost, server: FakeServer
) -> None:
    reason = "This shot has no key frame: place one."
    shown = render_pb2.SourceShown(reason=reason)
    server.answer = lambda *_: iter([render_pb2.RenderFrameResponse(source_shown=shown)])
    frames = clip()
    host.feed(frames)
    effect = created(host)
    for picture in effect.render([1, 2, 3]):
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
    assert [message.text for message in host.messages()] == [reason]
    server.answer = None
    effect.render([1])
    assert [message.kind for message in host.messages()] == ["clear"]


@pytest.mark.parametrize("hides", [False, True])
def test_host_without_temporal_access_sends_only_what_it_renders(
    host: OfxHost, server: FakeServer, hides: bool
) -> None:
    frames = clip(count=3)
    server.needs = lambda _: [0, 1, 2]
    host.feed(
        frames,
        temporal_access=False,
        hides_missing_access=hides,
        negative_rows=True,
        recreate=True,
        interactive="0",
    )
    effect = created(host)
    first_pass = effect.render([0, 1])
    for picture in first_pass:
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
    assert "one frame at a time" in host.messages()[-1].text
    for picture in effect.render([2, 0]):
        np.testing.assert_array_equal(picture.pixels, negative(frames[picture.time]))
    for index, (_, pixels) in server.frames.items():
        np.testing.assert_array_equal(pixels, frames[index])


def test_playing_hands_over_each_frame_where_the_host_gives_one_at_a_time(
    host: OfxHost, server: FakeServer
) -> None:
    server.needs = lambda _: [0, 1, 2]
    server.asks_viewers = False
    host.feed(clip(count=3), temporal_access=False, hides_missing_access=True, interactive="absent")
    effect = created(host)
    effect.render([0, 1])
    assert "one frame at a time" in host.messages()[-1].text
    effect.render([2])
    assert sorted(server.frames) == [0, 1, 2]
    assert "Render clip" in host.messages()[-1].text


def test_reduced_render_asks_for_its_own_size_and_sends_nothing(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip(height=36, width=66)
    host.feed(frames, reduction=3)
    effect = created(host)
    (picture,) = effect.render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1][::3, ::3])
    assert not server.frames
    assert (server.requests[-1].clip.size.width, server.requests[-1].size.width) == (66, 22)
    assert server.requests[-1].source_digest == ""


def test_final_render_at_a_reduced_size_never_passes_the_source_for_finished(
    host: OfxHost, server: FakeServer
) -> None:
    frames = clip(height=36, width=66)
    host.feed(frames, reduction=3, interactive="0")
    effect = created(host)
    (picture,) = effect.render([1])
    assert picture.status == 1
    np.testing.assert_array_equal(picture.pixels, frames[1][::3, ::3])
    assert "full size" in host.messages()[-1].text


def test_thumbnail_neither_waits_nor_sends_nor_speaks(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    host.feed(frames, thumbnail=True, interactive="0")
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1])
    assert not server.frames
    assert not server.requests[-1].wait
    assert host.messages() == []


def test_viewer_hands_over_many_frames_a_few_at_a_time(host: OfxHost, server: FakeServer) -> None:
    frames = clip(count=40, height=270, width=480, dtype=np.float32)
    server.needs = lambda _: list(range(40))
    server.seconds_per_frame = 0.05
    host.feed(frames)
    effect = created(host)
    (picture,) = effect.render([20])
    assert len(server.frames) < 40
    np.testing.assert_array_equal(picture.pixels, frames[20])
    assert "handed over" in host.messages()[0].text
    wait_until(lambda: effect.render([20]) and len(server.frames) == 40)
