"""Thousands of calls that no client would make, to one server."""

import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inbetween.v1 import render_pb2, session_pb2
from inbetween.v1.frame_pb2 import FrameRange, FrameSize, Rational
from inbetween.v1.session_pb2 import (
    Clip,
    GetSessionRequest,
    HostClip,
    ListSessionsRequest,
    OpenSessionRequest,
)

from server.serving import ServerOptions, serve
from tests.patience import PATIENCE_SECONDS
from tests.server.conftest import QUICK, Caller
from tests.server.fuzzer import Fuzzer

SEED = 20_241
CALLS_PER_METHOD = 300
WATCH_SECONDS = 0.3
"""A watched or awaited stream may rightly stay open; longer than this nobody listens here."""
GROWTH_BYTES = 300 << 20
"""Of this process: what the caches of codecs and allocators take, and the sessions that were made;
a leak of one picture or one message of 64 KiB a call would be more."""
FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}
UNDECODABLE = "Exception deserializing request!"
METHODS: list[MethodDescriptor] = [
    method
    for module in (render_pb2, session_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_no_message_breaks_the_server_or_another_session(
    short_folder: Path, tiny_clip: Path
) -> None:
    options = ServerOptions(
        short_folder / "server.sock", short_folder / "server.lock", short_folder / "home"
    )
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        caller = Caller.on(channel)
        bystander = caller.open(tiny_clip, keys=[0, 5])
        caller.run(bystander.id, (0, 5))
        before = caller.sessions.GetSession(GetSessionRequest(session_id=bystander.id))
        _fuzz_all(channel, caller, tiny_clip, "warm", calls=30)
        resident = _resident_bytes()
        answers = _fuzz_all(channel, caller, tiny_clip, "long", calls=CALLS_PER_METHOD)
        growth = _resident_bytes() - resident
        print(f"{answers.total()} calls, {dict(answers)}, {growth >> 20} MiB more")
        assert growth < GROWTH_BYTES
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        after = caller.sessions.GetSession(GetSessionRequest(session_id=bystander.id))
        assert after == before
        _cancel_all_jobs(caller)
        assert caller.run(bystander.id, (6, 7)).error == ""


def _fuzz_all(
    channel: grpc.Channel, caller: Caller, clip: Path, round_name: str, calls: int
) -> Counter[str]:
    answers: Counter[str] = Counter()
    for method in METHODS:
        victims = [caller.open(clip, keys=[0, 5]).id, _open_host_clip(caller)]
        fuzzer = Fuzzer(f"{SEED} {round_name} {method.name}", _right_values(clip, victims))
        for number in range(calls):
            requests = fuzzer.requests(method)
            code, details = _call(channel, method, requests)
            where = f"{method.name}, {round_name} call {number} of seed {SEED}: {details}"
            assert code not in FAULTS or details == UNDECODABLE, f"{code.name} to {where}"
            assert "metadata" not in details, f"the answer did not fit to {where}"
            is_late = code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert method.server_streaming or not is_late, f"no answer to {where}"
            answers[code.name] += 1
    return answers


def _cancel_all_jobs(caller: Caller) -> None:
    for session in caller.sessions.ListSessions(ListSessionsRequest()).sessions:
        request = GetSessionRequest(session_id=session.id)
        for job in caller.sessions.GetSession(request).jobs:
            caller.render.CancelJob(render_pb2.CancelJobRequest(job_id=job.id))


def _right_values(clip: Path, sessions: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """By the name of the field; with them alone, most calls do something."""
    pixels = bytes(96 * 64 * 4)
    painting = cv2.imencode(".png", np.zeros((64, 96, 3), np.uint8))[1].tobytes()
    return {
        "session_id": sessions,
        "media_path": [str(clip)],
        "application": ["Fuzz 1.0"],
        "identity": ["/media/fuzz.mov"],
        "file_name": ["painting.png", "painting.PNG"],
        "file_bytes": [painting],
        "pixels": [pixels],
        "index": range(12),
        "from_index": range(12),
        "to_index": range(12),
        "first": range(6),
        "last": range(6, 12),
        "width": [96],
        "height": [64],
        "numerator": [25, 1],
        "denominator": [1],
        "key_interval": range(20),
        "quality": ["draft"],
        "painter": ["style", "painted"],
    }


def _open_host_clip(caller: Caller) -> str:
    clip = Clip(
        host=HostClip(application="Fuzz 1.0", identity="/media/fuzz.mov"),
        range=FrameRange(first=0, last=11),
        size=FrameSize(width=96, height=64),
        frame_rate=Rational(numerator=25, denominator=1),
    )
    request = OpenSessionRequest(clip=clip, settings=QUICK, fresh=True)
    return caller.sessions.OpenSession(request).session.id


def _call(
    channel: grpc.Channel, method: MethodDescriptor, requests: list[bytes]
) -> tuple[grpc.StatusCode, str]:
    """The status with which the server answered."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming:
            channel.stream_unary(path, bytes, bytes)(iter(requests), timeout=PATIENCE_SECONDS)
        elif method.server_streaming:
            stream: Any = channel.unary_stream(path, bytes, bytes)
            call = stream(requests[0], timeout=WATCH_SECONDS)
            for _ in islice(call, 20):
                pass
            call.cancel()
        else:
            channel.unary_unary(path, bytes, bytes)(requests[0], timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


def _resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
