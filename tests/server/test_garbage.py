"""Whatever arrives, the server answers with a status and lives on."""

import random
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from inbetween.v1 import render_pb2, session_pb2

from server.serving import RunningServer
from tests.patience import PATIENCE_SECONDS
from tests.server.conftest import Caller

METHODS = [
    method
    for module in (render_pb2, session_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
MESSAGES = 40
HARMLESS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
}
UNDECODABLE = "Exception deserializing request!"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_garbage_is_answered_and_the_server_lives_on(
    render_server: RunningServer, caller: Caller, tiny_clip: Path, method: MethodDescriptor
) -> None:
    session = caller.open(tiny_clip, keys=[0])
    chance = random.Random(method.name)
    with grpc.insecure_channel(render_server.address) as channel:
        for _ in range(MESSAGES):
            code, details = _send(channel, method, _garbage(chance, session.id))
            assert code in HARMLESS or details == UNDECODABLE, (code, details)
    assert caller.open(tiny_clip).id


def _garbage(chance: random.Random, session_id: str) -> bytes:
    """Random bytes, or a session's id with random fields after it, which gets further."""
    if chance.random() < 0.3:
        return chance.randbytes(chance.randrange(200))
    fields = b"".join(_field(chance) for _ in range(chance.randrange(4)))
    return b"\x0a" + bytes([len(session_id)]) + session_id.encode() + fields


def _field(chance: random.Random) -> bytes:
    number = chance.randrange(2, 10)
    if chance.random() < 0.5:
        return bytes([number << 3, chance.randrange(128)])
    payload = chance.randbytes(chance.randrange(20))
    return bytes([number << 3 | 2, len(payload)]) + payload


def _send(
    channel: grpc.Channel, method: MethodDescriptor, message: bytes
) -> tuple[grpc.StatusCode, str]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming:
            channel.stream_unary(path, bytes, bytes)(
                iter([message, message]), timeout=PATIENCE_SECONDS
            )
        elif method.server_streaming:
            call: Any = channel.unary_stream(path, bytes, bytes)(message, timeout=PATIENCE_SECONDS)
            for _ in islice(call, 2):
                pass
            call.cancel()
        else:
            channel.unary_unary(path, bytes, bytes)(message, timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""
