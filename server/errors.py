"""How a failure is told to a client: one table from exceptions to gRPC statuses."""

import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from grpc_status import rpc_status

from engine.errors import (
    CancelledError,
    InbetweenError,
    InvalidValueError,
    ModelUnavailableError,
    NotFoundError,
    OutOfMemoryError,
    StorageError,
    UnexpectedError,
    UnreadableMediaError,
)

log = logging.getLogger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

DOMAIN = "inbetween"

LONGEST_MESSAGE_BYTES = 1500
"""It travels twice, escaped, in the 8 KiB of metadata that every gRPC client takes."""


class AlreadyExistsError(InbetweenError):
    """Something stands already where something new was to be placed."""


class NotPossibleNowError(InbetweenError):
    """A call that is right, but not in the state that things are in."""


class ChangedMeanwhileError(InbetweenError):
    """A change of something that somebody else has changed since the caller saw it."""


class ForbiddenPathError(InbetweenError):
    """A path outside the folders that this server may read."""


class BusyError(InbetweenError):
    """The queue is full."""


STATUS_OF: Mapping[type[InbetweenError], tuple[int, str]] = MappingProxyType(
    {
        InvalidValueError: (code_pb2.INVALID_ARGUMENT, "INVALID_VALUE"),
        NotFoundError: (code_pb2.NOT_FOUND, "NOT_FOUND"),
        UnreadableMediaError: (code_pb2.FAILED_PRECONDITION, "UNREADABLE_MEDIA"),
        ModelUnavailableError: (code_pb2.FAILED_PRECONDITION, "MODEL_UNAVAILABLE"),
        OutOfMemoryError: (code_pb2.RESOURCE_EXHAUSTED, "OUT_OF_MEMORY"),
        StorageError: (code_pb2.RESOURCE_EXHAUSTED, "STORAGE"),
        CancelledError: (code_pb2.CANCELLED, "CANCELLED"),
        AlreadyExistsError: (code_pb2.ALREADY_EXISTS, "ALREADY_EXISTS"),
        NotPossibleNowError: (code_pb2.FAILED_PRECONDITION, "NOT_POSSIBLE_NOW"),
        ChangedMeanwhileError: (code_pb2.ABORTED, "CHANGED_MEANWHILE"),
        ForbiddenPathError: (code_pb2.PERMISSION_DENIED, "FORBIDDEN_PATH"),
        BusyError: (code_pb2.RESOURCE_EXHAUSTED, "BUSY"),
        UnexpectedError: (code_pb2.INTERNAL, "UNEXPECTED"),
        InbetweenError: (code_pb2.FAILED_PRECONDITION, "FAILED"),
    }
)


def unexpected(error: BaseException, doing: str) -> UnexpectedError:
    """A sentence in place of a traceback, which goes to the log."""
    log.error("unexpected error while %s", doing, exc_info=error)
    return UnexpectedError(
        f"Something unexpected happened while {doing} ({type(error).__name__}): nothing was lost; "
        "the server's log says more."
    )


def abort(context: grpc.ServicerContext, error: InbetweenError) -> NoReturn:
    """Ends the call with the error's status."""
    code, reason = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
    details = AnyMessage()
    details.Pack(ErrorInfo(reason=reason, domain=DOMAIN))
    status = status_pb2.Status(code=code, message=_shortened(str(error)), details=[details])
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status returns never")


def _shortened(message: str) -> str:
    """Its beginning and its end, where it is too long: it names a value that somebody sent."""
    data = message.encode(errors="replace")
    if len(data) <= LONGEST_MESSAGE_BYTES:
        return message
    half = LONGEST_MESSAGE_BYTES // 2
    return f"{data[:half].decode(errors='ignore')} … {data[-half:].decode(errors='ignore')}"


class ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Lets no exception of ours reach a client as anything but a status with one sentence."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Handler | None"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.rpartition("/")[2]
        guard = _guarded_stream if handler.response_streaming else _guarded_call
        return with_behaviour(handler, lambda behaviour: guard(behaviour, f"answering {method}"))


def with_behaviour(handler: "Handler", wrap: Callable[[Any], Any]) -> "Handler":
    """The handler with what `wrap` makes of its behaviour."""
    kind = "_".join(
        "stream" if streams else "unary"
        for streams in (handler.request_streaming, handler.response_streaming)
    )
    return getattr(grpc, f"{kind}_rpc_method_handler")(  # type: ignore[no-any-return]
        wrap(getattr(handler, kind)),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _guarded_call(behaviour: Any, doing: str) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return behaviour(request, context)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes a status
            problem = error
        _end(problem, context, doing)

    return call


def _guarded_stream(
    behaviour: Any, doing: str
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(request, context)
            return
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes a status
            problem = error
        _end(problem, context, doing)

    return call


def _end(problem: Exception, context: grpc.ServicerContext, doing: str) -> NoReturn:
    if not context.is_active():
        raise problem  # The caller is gone: reading its messages raised what gRPC understands.
    error = problem if isinstance(problem, InbetweenError) else unexpected(problem, doing)
    abort(context, error)
