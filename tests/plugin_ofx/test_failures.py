"""A server that is absent, slow or wrong never harms the host: the source is shown, and why."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1 import frame_pb2, render_pb2

from tests.ofx_host.host import Effect, OfxHost
from tests.patience import PATIENCE_SECONDS
from tests.plugin_ofx.conftest import (
    Answers,
    FakeServer,
    clip,
    deaf_socket,
    fake_server,
    framed,
    negative,
    serving,
)

Request = render_pb2.RenderFrameRequest


def created(host: OfxHost) -> Effect:
    host.load()
    return host.create()


def test_without_a_server_the_source_is_shown_and_one_message(host: OfxHost) -> None:
    frames = clip()
    host.feed(frames)
    effect = created(host)
    for picture in effect.render([0, 1, 2, 3, 4, 0]):
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
        assert picture.status == 0
    messages = host.messages()
    assert len(messages) == 1
    assert messages[0].type == "OfxMessageError"
    assert "No render server is running" in messages[0].text


def test_message_goes_when_the_server_comes(host: OfxHost, runtime: Path) -> None:
    frames = clip()
    host.feed(frames)
    effect = created(host)
    effect.render([0])
    with serving(fake_server(), runtime):
        (picture,) = effect.render([1])
        np.testing.assert_array_equal(picture.pixels, negative(frames[1]))
    assert [message.kind for message in host.messages()] == ["persistent", "clear"]
    (picture,) = effect.render([2])
    np.testing.assert_array_equal(picture.pixels, frames[2])
    with serving(fake_server(), runtime):
        (picture,) = effect.render([3])
        np.testing.assert_array_equal(picture.pixels, negative(frames[3]))


def test_host_with_plain_messages_only_hears_each_error_once(host: OfxHost, runtime: Path) -> None:
    host.option(messages_v2=False)
    host.feed(clip())
    effect = created(host)
    effect.render([0, 1])
    with serving(fake_server(), runtime):
        effect.render([0])
    effect.render([0, 1])
    assert [message.kind for message in host.messages()] == ["message"]


def test_server_that_accepts_and_says_nothing_costs_a_viewer_one_wait(
    host: OfxHost, runtime: Path
) -> None:
    frames = clip()
    host.feed(frames)
    effect = created(host)
    with deaf_socket(runtime):
        pictures = effect.render([0, 1, 2, 3, 4])
    # The first one waits for an answer, the others remember that there was none.
    assert min(picture.seconds for picture in pictures[1:]) < pictures[0].seconds
    for picture in pictures:
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
    assert len(host.messages()) == 1


def slow(request: Request, context: grpc.ServicerContext) -> Answers:
    while context.is_active():
        time.sleep(0.02)
    yield from ()


def wrong_size(request: Request, context: grpc.ServicerContext) -> Answers:
    larger = render_pb2.RenderFrameRequest()
    larger.CopyFrom(request)
    larger.size.width += 1
    yield from framed(larger, np.zeros((request.size.height, request.size.width + 1, 4), np.uint8))


def huge_size(request: Request, context: grpc.ServicerContext) -> Answers:
    size = frame_pb2.FrameSize(width=2**31 - 1, height=2**31 - 1)
    header = frame_pb2.FrameHeader(index=request.index, size=size)
    yield render_pb2.RenderFrameResponse(frame=frame_pb2.FramePiece(header=header))


def truncated(request: Request, context: grpc.ServicerContext) -> Answers:
    yield from framed(request, np.zeros((request.size.height - 1, request.size.width, 4), np.uint8))


def too_many(request: Request, context: grpc.ServicerContext) -> Answers:
    yield from framed(request, np.zeros((request.size.height + 1, request.size.width, 4), np.uint8))


def no_header(request: Request, context: grpc.ServicerContext) -> Answers:
    yield render_pb2.RenderFrameResponse(frame=frame_pb2.FramePiece(pixels=b"1234"))


def two_frames(request: Request, context: grpc.ServicerContext) -> Answers:
    pixels = np.zeros((request.size.height, request.size.width, 4), np.uint8)
    yield from framed(request, pixels)
    yield from framed(request, pixels)


def another_frame(request: Request, context: grpc.ServicerContext) -> Answers:
    other = render_pb2.RenderFrameRequest()
    other.CopyFrom(request)
    other.index += 1
    yield from framed(other, np.zeros((request.size.height, request.size.width, 4), np.uint8))


def nothing(request: Request, context: grpc.ServicerContext) -> Answers:
    yield from ()


def asks_again(request: Request, context: grpc.ServicerContext) -> Answers:
    needed = render_pb2.SourceFramesNeeded(indices=[request.index])
    yield render_pb2.RenderFrameResponse(source_frames_needed=needed)


def asks_for_none(request: Request, context: grpc.ServicerContext) -> Answers:
    needed = render_pb2.SourceFramesNeeded()
    yield render_pb2.RenderFrameResponse(source_frames_needed=needed)


def asks_for_nonsense(request: Request, context: grpc.ServicerContext) -> Answers:
    needed = render_pb2.SourceFramesNeeded(indices=[-(2**31), 2**31 - 1])
    yield render_pb2.RenderFrameResponse(source_frames_needed=needed)


def closes_midway(request: Request, context: grpc.ServicerContext) -> Answers:
    pixels = np.zeros((request.size.height, request.size.width, 4), np.uint8)
    yield next(framed(request, pixels))
    context.abort(grpc.StatusCode.INTERNAL, "The disk is full: make room.")


def garbage_status(request: Request, context: grpc.ServicerContext) -> Answers:
    context.abort(grpc.StatusCode.UNKNOWN, "%s%n%p \x01 \u2028 " * 50)
    yield from ()


WRONG = [
    slow,
    wrong_size,
    huge_size,
    truncated,
    too_many,
    no_header,
    two_frames,
    another_frame,
    nothing,
    asks_again,
    asks_for_none,
    asks_for_nonsense,
    closes_midway,
    garbage_status,
]


@pytest.mark.parametrize("answer", WRONG, ids=lambda answer: answer.__name__)
def test_wrong_answer_leaves_the_source_untouched_and_the_host_alive(
    host: OfxHost,
    server: FakeServer,
    answer: Callable[[Request, grpc.ServicerContext], Iterator[render_pb2.RenderFrameResponse]],
) -> None:
    frames = clip()
    server.answer = answer
    host.feed(frames)
    effect = created(host)
    for picture in effect.render([1, 2]):
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
    messages = host.messages()
    assert messages
    assert all(message.text for message in messages)
    server.answer = None
    if answer is not slow:
        (picture,) = effect.render([3])
        np.testing.assert_array_equal(picture.pixels, negative(frames[3]))


def test_final_render_that_fails_tells_the_host(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    server.answer = closes_midway
    host.feed(frames, interactive="0")
    (picture,) = created(host).render([1])
    assert picture.status == 1
    np.testing.assert_array_equal(picture.pixels, frames[1])
    assert host.messages()[-1].text == "The disk is full: make room."


def test_server_killed_in_the_middle_of_a_wait_ends_it(host: OfxHost, runtime: Path) -> None:
    fake = fake_server()
    waiting = threading.Event()

    def never(request: Request, context: grpc.ServicerContext) -> Answers:
        waiting.set()
        yield render_pb2.RenderFrameResponse(not_ready=render_pb2.NotReady())
        while context.is_active():
            time.sleep(0.02)

    fake.answer = never
    frames = clip()
    host.feed(frames, interactive="0")
    effect = created(host)
    pictures = []
    with serving(fake, runtime):
        thread = threading.Thread(target=lambda: pictures.extend(effect.render([1])))
        thread.start()
        assert waiting.wait(PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    np.testing.assert_array_equal(pictures[0].pixels, frames[1])
    assert pictures[0].status == 1


def test_socket_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with OfxHost({"INBETWEEN_RUNTIME_DIR": str(tmp_path / ("x" * 120))}) as host:
        host.feed(clip())
        effect = created(host)
        effect.render([0])
        assert "INBETWEEN_RUNTIME_DIR" in host.messages()[0].text


def test_ordinary_file_in_place_of_the_socket_is_no_server(host: OfxHost, runtime: Path) -> None:
    (runtime / "server.sock").write_text("not a socket")
    frames = clip()
    host.feed(frames)
    (picture,) = created(host).render([0])
    np.testing.assert_array_equal(picture.pixels, frames[0])
    assert (runtime / "server.sock").is_file()
