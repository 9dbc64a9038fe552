"""The source as the method sees it: pictures in painting space, and how they move."""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from engine.errors import InvalidValueError
from engine.media.color import to_painting_space
from engine.media.source import FrameSource, open_source
from engine.motion.flow import FlowEstimator
from engine.types import FloatArray, Flow, Frame
from engine.wording import plural

FLOW_BYTES = 512 << 20
"""Flows of an interval that are kept: both directions and the blend need the same ones."""
_FEWEST_FLOWS = 8
_FRAMES = 6
"""Both directions look at a frame and at its neighbours."""


class Footage:
    """Reads frames and finds motion on a thread of its own, ahead of who asks for them.

    What was asked for or expected last is kept, so memory does not grow with the clip.
    """

    def __init__(self, source: FrameSource, estimator: FlowEstimator) -> None:
        size = source.clip.size
        flows = max(_FEWEST_FLOWS, FLOW_BYTES // (size.width * size.height * 8))
        # Only the thread calls these; so neither they nor the source need a lock.
        self._frame = lru_cache(_FRAMES)(source.read)
        self._rgb = lru_cache(_FRAMES)(lambda index: to_painting_space(self._frame(index)))
        self._flow = lru_cache(flows)(
            lambda first, second: estimator.estimate(self._rgb(first), self._rgb(second))
        )
        self._clip = source.clip
        self._movies: dict[str, FrameSource] = {}
        self._thread = ThreadPoolExecutor(1, "footage")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        for movie in self._movies.values():
            movie.close()
        for kept in (self._frame, self._rgb, self._flow):
            kept.cache_clear()  # They refer to this object: pictures would wait for a collection.

    def frame(self, index: int) -> Frame:
        """The frame in the clip's own colour space."""
        return self._thread.submit(self._frame, index).result()

    def rgb(self, index: int) -> FloatArray:
        """The frame [H, W, 3] in painting space."""
        return self._thread.submit(self._rgb, index).result()

    def flow(self, first: int, second: int) -> Flow:
        """The flow from one frame to another."""
        return self._thread.submit(self._flow, first, second).result()

    def control_picture(self, movie: str, index: int) -> FloatArray:
        """The frame of a control movie that belongs to a frame: [H, W, 3] of the clip's size.

        Raises InvalidValueError where the movie is too short, and what `open_source` does.
        """
        return self._thread.submit(partial(self._control_picture, movie, index)).result()

    def _control_picture(self, movie: str, index: int) -> FloatArray:
        if movie not in self._movies:
            self._movies[movie] = open_source(Path(movie).expanduser())
        source = self._movies[movie]
        frames = source.clip.frame_range
        wanted = frames.first + index - self._clip.frame_range.first
        if wanted not in frames:
            raise InvalidValueError(
                f"The control movie {movie} has {plural(len(frames), 'frame')} and none for frame "
                f"{index}: give one as long as the clip."
            )
        size = self._clip.size
        picture = cv2.resize(
            to_painting_space(source.read(wanted)),
            (size.width, size.height),
            interpolation=cv2.INTER_AREA,
        )
        return np.ascontiguousarray(picture, np.float32)

    def expect(self, first: int, second: int) -> None:
        """Says that the flows between two frames will be asked for.

        What goes wrong there is raised when it is asked for.
        """
        self._thread.submit(self._flow, first, second)
        self._thread.submit(self._flow, second, first)
