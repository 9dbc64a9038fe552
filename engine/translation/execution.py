"""How the calls of the networks are executed: as they are, or as CUDA graphs.

A call is a function of tensors alone, of which the shapes decide what is done; on a card it is
recorded once for each kind and replayed, which spares thousands of launches a step. Both run the
same kernels in the same order every time, so the same inputs give the same bits.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from gc import collect
from traceback import clear_frames
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from engine.system import spare_memory_bytes

Call = Callable[..., tuple[Tensor, ...]]
_Pool: TypeAlias = Any
"""Where graphs have their memory; torch has no public name for it."""

_MOST_GRAPHS = 24
"""More than the calls of one painting; what is beyond belongs to other sizes."""


class Execution(Protocol):
    """Runs calls of the networks."""

    def run(self, kind: Hashable, call: Call, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What `call` makes of `inputs`. What it does besides depends on `kind` only."""

    def beside(self) -> AbstractContextManager[object]:
        """Inside a call: what need not be finished, and must not be touched, before `join`."""

    def join(self) -> None:
        """Inside a call: waits for what went on beside."""

    def when_short(self, make_room: Callable[[], None]) -> None:
        """What is to be done where there is too little memory for a call, before it is tried a
        second time.
        """

    def forget(self) -> None:
        """To be called when the networks were changed otherwise than in the values of weights."""

    def free_bytes(self) -> int:
        """How much memory of the device can still be had."""


class Eager:
    """Runs calls as they are, on the processor."""

    def run(self, kind: Hashable, call: Call, *inputs: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        return call(*inputs)

    def beside(self) -> AbstractContextManager[object]:
        return nullcontext()

    def join(self) -> None: ...

    def when_short(self, make_room: Callable[[], None]) -> None: ...

    def forget(self) -> None: ...

    def free_bytes(self) -> int:
        return spare_host_bytes()


class Graphs:
    """Runs calls as CUDA graphs. What a call returns is the caller's to keep."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, _Graph] = {}
        self._make_room: Callable[[], None] = lambda: None
        self._stream, self._side = torch.cuda.Stream(), torch.cuda.Stream()
        self._forked = False
        self._queued: deque[torch.cuda.Event] = deque()

    def run(self, kind: Hashable, call: Call, *inputs: Tensor) -> tuple[Tensor, ...]:
        key = kind, *((each.shape, each.dtype, each.stride()) for each in inputs)
        try:
            outputs = self._graph(key, call, inputs).replay(inputs)
        except RuntimeError as error:
            if not tells_of_memory(error):
                raise
            clear_frames(error.__traceback__)  # they hold tensors
            self._make_room()
            self.forget()  # graphs of other sizes keep memory
            outputs = self._graph(key, call, inputs).replay(inputs)
        self._wait_for_the_call_before()
        return outputs

    def _graph(self, key: Hashable, call: Call, inputs: Sequence[Tensor]) -> "_Graph":
        if key not in self._graphs:
            if len(self._graphs) == _MOST_GRAPHS:
                self.forget()
            self._graphs[key] = _Graph(self._joined(call), inputs, self._stream, self._pool())
        return self._graphs[key]

    def _joined(self, call: Call) -> Call:
        """A recording that ends while something is still beside cannot be ended."""

        def joined(*inputs: Tensor) -> tuple[Tensor, ...]:
            try:
                return call(*inputs)
            finally:
                self.join()

        return joined

    def _pool(self) -> _Pool | None:
        """They run one after the other, so they share the memory of what is between."""
        return next((graph.pool for graph in self._graphs.values()), None)

    def _wait_for_the_call_before(self) -> None:
        """So that the host is one call ahead of the card and no more: cancelling acts at once."""
        event = torch.cuda.Event(blocking=True)
        event.record()
        self._queued.append(event)
        if len(self._queued) > 1:
            self._queued.popleft().synchronize()

    def beside(self) -> AbstractContextManager[object]:
        self._side.wait_stream(torch.cuda.current_stream())
        self._forked = True
        return torch.cuda.stream(self._side)

    def join(self) -> None:
        if self._forked:
            torch.cuda.current_stream().wait_stream(self._side)
        self._forked = False

    def when_short(self, make_room: Callable[[], None]) -> None:
        self._make_room = make_room

    def forget(self) -> None:
        torch.cuda.synchronize()
        self._graphs.clear()
        self._forked = False
        collect()  # tensors of what refers to itself
        torch.cuda.empty_cache()

    def free_bytes(self) -> int:
        free, total = torch.cuda.mem_get_info()
        allowed = int(total * torch.cuda.get_per_process_memory_fraction())
        reserved = torch.cuda.memory_reserved()
        idle = sum(graph.idle_bytes for graph in self._graphs.values())
        return min(free, allowed - reserved) + reserved - torch.cuda.memory_allocated() - idle


class _Graph:
    """One call, recorded for inputs of the shapes of `inputs`."""

    def __init__(
        self, call: Call, inputs: Sequence[Tensor], stream: torch.cuda.Stream, pool: _Pool | None
    ) -> None:
        self._inputs = [torch.empty_like(each, device="cuda").copy_(each) for each in inputs]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose and load their kernels
            call(*self._inputs)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        self._graph = torch.cuda.CUDAGraph()
        # The outer one leaves the stream even where a recording cannot be ended.
        with torch.cuda.stream(stream), torch.cuda.graph(self._graph, pool=pool, stream=stream):
            self._outputs = call(*self._inputs)
        outputs = sum(each.nbytes for each in self._outputs)
        self.idle_bytes = torch.cuda.memory_reserved() - before - outputs
        """What only graphs can use."""

    @property
    def pool(self) -> _Pool:
        return self._graph.pool()

    def replay(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        return tuple(each.clone() for each in self._outputs)


def tells_of_memory(error: Exception) -> bool:
    """Whether memory ran out. Some ways have no type of their own: the processor's, a graph's,
    those of libraries.
    """
    told = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return typed or any(words in str(error) for words in told)


def spare_host_bytes() -> int:
    """Main memory that is free beyond a quarter of all, which others may need."""
    return spare_memory_bytes()
