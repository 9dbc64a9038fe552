"""Whatever the effect waits for, the host may end it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from inbetween.v1 import frame_pb2, render_pb2, session_pb2

from tests.ofx_host.host import Effect, OfxHost
from tests.patience import wait_until
from tests.plugin_ofx.conftest import Answers, FakeServer, clip, deaf_socket, framed, serving

STOPPED = "Stopped before it was done: press the button again to go on."


def created(host: OfxHost, path: Path | None = None) -> Effect:
    host.load(path)
    return host.create()


def test_final_renders_end_while_the_server_starts_when_the_host_aborts(
    host: OfxHost, installed: tuple[Path, Path]
) -> None:
    path, record = installed
    frames = clip()
    host.feed(frames, interactive="0", abort_after=20)
    effects = [created(host, path), host.create()]
    for picture in host.render(effects, [1, 2]):
        assert picture.status == 0
        np.testing.assert_array_equal(picture.pixels, frames[picture.time])
    wait_until(record.exists)
    assert record.read_text().startswith("server start")
    assert host.messages() == []


def test_final_render_ends_while_the_server_says_nothing_when_the_host_aborts(
    host: OfxHost, runtime: Path
) -> None:
    frames = clip()
    host.feed(frames, interactive="0", abort_after=3)
    with deaf_socket(runtime):
        (picture,) = created(host).render([1])
    assert picture.status == 0
    np.testing.assert_array_equal(picture.pixels, frames[1])
    assert host.messages() == []


def test_button_ends_while_the_server_starts_when_the_host_aborts(
    host: OfxHost, installed: tuple[Path, Path]
) -> None:
    path, record = installed
    host.feed(clip(), abort_file=str(record))
    created(host, path).press("add_key", 1)
    assert [message.text for message in host.messages()] == [STOPPED]


class Speechless(FakeServer):
    """Answers everything but one call."""

    silent_call = ""
    asked: Path
    """Is there once that call has come."""
    was_ended = False

    def keep_silent(self, call: str, context: grpc.ServicerContext) -> None:
        if call != self.silent_call:
            return
        self.asked.touch()
        while context.is_active():
            time.sleep(0.01)
        self.was_ended = True

    def OpenSession(  # noqa: N802
        self, request: session_pb2.OpenSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.OpenSessionResponse:
        self.keep_silent("OpenSession", context)
        return super().OpenSession(request, context)

    def ListMissingSourceFrames(  # noqa: N802
        self, request: render_pb2.ListMissingSourceFramesRequest, context: grpc.ServicerContext
    ) -> render_pb2.ListMissingSourceFramesResponse:
        self.keep_silent("ListMissingSourceFrames", context)
        return super().ListMissingSourceFrames(request, context)

    def StartJob(  # noqa: N802
        self, request: render_pb2.StartJobRequest, context: grpc.ServicerContext
    ) -> render_pb2.StartJobResponse:
        self.keep_silent("StartJob", context)
        return super().StartJob(request, context)


@pytest.mark.parametrize("call", ["OpenSession", "ListMissingSourceFrames", "StartJob"])
def test_button_ends_while_the_server_works_on_a_call_when_the_host_aborts(
    host: OfxHost, runtime: Path, tmp_path: Path, call: str
) -> None:
    fake = Speechless()  # type: ignore[abstract]  # no effect makes the calls it lacks
    fake.silent_call, fake.asked = call, tmp_path / "asked"
    host.feed(clip(), abort_file=str(fake.asked))
    with serving(fake, runtime):
        created(host).press("render_clip", 1)
        wait_until(lambda: fake.was_ended)
    assert [message.text for message in host.messages()] == [STOPPED]


def test_render_ends_while_a_picture_trickles_in_when_the_host_aborts(
    host: OfxHost, server: FakeServer, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"

    def trickle(request: render_pb2.RenderFrameRequest, context: grpc.ServicerContext) -> Answers:
        size = request.size
        header, whole = framed(request, np.zeros((size.height, size.width, 4), np.uint8))
        yield header
        begun.touch()
        for byte in whole.frame.pixels:
            time.sleep(0.01)
            yield render_pb2.RenderFrameResponse(frame=frame_pb2.FramePiece(pixels=bytes([byte])))

    frames = clip(height=8, width=16)
    server.answer = trickle
    host.feed(frames, interactive="0", abort_file=str(begun))
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1])


@contextmanager
def crowded_socket(runtime: Path) -> Iterator[None]:
    """Somebody who does not come to the door, where nobody else finds room to wait."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(f"{runtime}/server.sock")
        listener.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(f"{runtime}/server.sock")
            except BlockingIOError:
                break
        yield


def test_server_that_hangs_with_callers_before_its_door_holds_up_no_viewer(
    host: OfxHost, runtime: Path
) -> None:
    frames = clip()
    host.feed(frames)
    effect = created(host)
    with crowded_socket(runtime):
        (picture,) = effect.render([1])
    np.testing.assert_array_equal(picture.pixels, frames[1])
    assert "does not answer" in host.messages()[0].text
