"""Pictures of at most 256 colours, each with the colours that suit it best."""

import av
from av.filter import Graph

from engine.types import FrameSize


class Palettes:
    """Reduces pictures of one size to a palette of their own, with dithering."""

    def __init__(self, size: FrameSize) -> None:
        self._graph = Graph()
        source = self._graph.add(
            "buffer", f"video_size={size}:pix_fmt=rgb24:time_base=1/1:pixel_aspect=1/1"
        )
        split = self._graph.add("split")
        made = self._graph.add("palettegen", "stats_mode=single")
        used = self._graph.add("paletteuse", "new=1:dither=sierra2_4a")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(made, 0, 0)
        split.link_to(used, 1, 0)
        made.link_to(used, 0, 1)
        used.link_to(sink)
        self._graph.configure()

    def reduce(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture, which is rgb24, as pal8."""
        self._graph.vpush(picture)
        return self._graph.vpull()
