"""What the worker tells the server from several threads."""

import queue
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, cast

import numpy as np

from engine.types import Alpha, FloatArray, Precision
from server.records import DeliveredFrame, FrameKind
from server.work.tasks import Delivered, Order, Preview, Watch
from server.work.worker_process import Desk
from tests.patience import wait_until

PICTURES = 5


class Wire:
    """A connection that takes its time to send, and notices whether two send at once."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self.sent: list[Any] = []
        self.was_shared = False
        self._busy = False

    def recv(self) -> Order:
        return self.orders.get()

    def send(self, news: Any) -> None:
        self.was_shared |= self._busy
        self._busy = True
        time.sleep(0.02)
        self._busy = False
        self.sent.append(news)


def black() -> FloatArray:
    return np.zeros((8, 8, 3), np.float32)


def test_a_preview_does_not_cut_into_pictures_that_are_delivered_meanwhile() -> None:
    wire = Wire()
    desk = Desk(cast("Connection[Any, Any]", wire))
    threading.Thread(target=desk.listen, daemon=True).start()
    picture = DeliveredFrame("take", "srgb", FrameKind(Alpha.OPAQUE.value, Precision.HALF.value))

    def deliver() -> None:
        for index in range(PICTURES):
            desk.deliver(index, picture)

    wire.orders.put(Watch(previews=True))
    delivering = threading.Thread(target=deliver)
    delivering.start()

    def a_preview_was_sent() -> bool:
        desk.preview(PICTURES, black)
        return any(isinstance(news, Preview) for news in wire.sent)

    wait_until(a_preview_was_sent)
    delivering.join()
    assert not wire.was_shared
    assert [news.index for news in wire.sent if isinstance(news, Delivered)] == [*range(PICTURES)]
