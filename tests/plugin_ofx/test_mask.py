"""The effect with a mask wired in: what is 0 in it stays source, to the bit."""

from typing import Any

import numpy as np
import pytest
from inbetween.v1 import frame_pb2

from tests.ofx_host.host import FILTER, GENERAL, Effect, OfxHost, OptionValue, Pixels
from tests.plugin_ofx.conftest import FakeServer, clip, framed, negative

TYPES = [np.uint8, np.uint16, np.float32]


def created(host: OfxHost) -> Effect:
    host.load()
    return host.create(GENERAL)


def white(dtype: Any) -> float:
    return 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)


def mask(dtype: Any, channels: int = 1, count: int = 5, size: tuple[int, int] = (36, 64)) -> Pixels:
    """A third of it black, a third white, between them a ramp; grey, in the last channel or all."""
    ramp = np.linspace(-1, 2, size[1]).clip(0, 1) * white(dtype)
    values = np.broadcast_to(ramp[:, np.newaxis], (count, *size, channels)).astype(dtype)
    if channels == 4:  # The alpha alone is the mask.
        values[..., :3] = np.random.default_rng(1).random((count, *size, 3)) * white(dtype)
    return values


def check(result: Pixels, source: Pixels, coverage: Pixels) -> None:
    """That `coverage` [H, W], as it was fed, decides between the source and its negative."""
    made, share = negative(source), coverage[..., np.newaxis] / white(coverage.dtype)
    black, full = coverage == 0, coverage == white(coverage.dtype)
    assert black.any()
    assert full.any()
    assert result[black].tobytes() == source[black].tobytes()
    assert result[full].tobytes() == made[full].tobytes()
    mixed = share * made + (1 - share) * source
    # Half a code for the rounding of integers, and what float32 loses of them.
    tolerance = 1e-6 if source.dtype == np.float32 else 0.51
    np.testing.assert_allclose(result[..., :3], mixed[..., :3], atol=tolerance)
    np.testing.assert_array_equal(result[..., 3:], source[..., 3:])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("source_channels", [3, 4])
def test_black_keeps_the_source_to_the_bit_and_grey_mixes(
    host: OfxHost, server: FakeServer, dtype: Any, channels: int, source_channels: int
) -> None:
    frames, masks = clip(channels=source_channels, dtype=dtype), mask(dtype, channels)
    host.feed(frames, negative_rows=True, row_padding=20, premultiplication="OfxImageOpaque")
    host.feed_mask(masks)
    for picture in created(host).render([3, 0]):
        assert picture.status == 0
        check(picture.pixels, frames[picture.time], masks[picture.time][..., -1])


def test_without_a_mask_all_of_the_frame_is_painted(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    host.feed(frames)
    (picture,) = created(host).render([1])
    np.testing.assert_array_equal(picture.pixels, negative(frames[1]))


def test_an_opaque_mask_covers_by_its_luminance(host: OfxHost, server: FakeServer) -> None:
    frames, grey = clip(), mask(np.uint8, 3)
    opaque = np.concatenate([grey, np.full((*grey.shape[:3], 1), 255, np.uint8)], axis=-1)
    host.feed(frames)
    host.feed_mask(opaque, mask_premultiplication="OfxImageOpaque")
    (picture,) = created(host).render([1])
    check(picture.pixels, frames[1], grey[1][..., 0])


def test_nothing_is_painted_beyond_the_edges_of_a_mask(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    small = np.full((5, 10, 20, 1), 255, np.uint8)
    host.feed(frames, offset_x=8, offset_y=-3)
    host.feed_mask(small, mask_offset_x=8 + 30, mask_offset_y=-3 + 20)
    (picture,) = created(host).render([2])
    seen = frames[2].copy()
    seen[6:16, 30:50] = negative(frames[2])[6:16, 30:50]
    np.testing.assert_array_equal(picture.pixels, seen)


def test_nothing_is_painted_where_the_mask_has_no_frame(host: OfxHost, server: FakeServer) -> None:
    frames = clip()
    host.feed(frames)
    host.feed_mask(mask(np.uint8, count=2))
    (picture,) = created(host).render([4])
    assert picture.status == 0
    np.testing.assert_array_equal(picture.pixels, frames[4])


def test_what_is_no_number_in_a_mask_counts_as_black(host: OfxHost, server: FakeServer) -> None:
    frames = clip(dtype=np.float32)
    masks = np.ones((5, 36, 64, 1), np.float32)
    masks[:, 10, 20], masks[:, 11, 20], masks[:, 12, 20] = np.nan, -np.inf, np.inf
    host.feed(frames)
    host.feed_mask(masks)
    (picture,) = created(host).render([1])
    seen = negative(frames[1])
    seen[10:12, 20] = frames[1][10:12, 20]
    np.testing.assert_array_equal(picture.pixels, seen)


def test_only_the_render_window_is_written(host: OfxHost, server: FakeServer) -> None:
    frames, masks = clip(), mask(np.uint8)
    host.feed(frames, window_inset=7)
    host.feed_mask(masks)
    (picture,) = created(host).render([2])
    inside = np.s_[7:-7, 7:-7]
    check(picture.pixels[inside], frames[2][inside], masks[2][inside][..., 0])


def test_a_mask_is_seen_at_a_reduced_size(host: OfxHost, server: FakeServer) -> None:
    frames, masks = clip(width=66), mask(np.uint8, size=(36, 66))
    server.needs = lambda _: []
    server.answer = lambda request, _: framed(request, negative(frames[1][::3, ::3]))
    host.feed(frames, reduction=3)
    host.feed_mask(masks, mask_reduction=3)
    (picture,) = created(host).render([1])
    check(picture.pixels, frames[1][::3, ::3], masks[1][::3, ::3, 0])


def test_another_mask_is_seen_at_once_and_the_server_hears_nothing_of_it(
    host: OfxHost, server: FakeServer
) -> None:
    frames, masks = clip(), mask(np.uint8)
    host.feed(frames)
    host.feed_mask(masks)
    effect = created(host)
    effect.render([1])
    (asked,) = {request.source_digest for request in server.requests}
    flipped = masks[:, :, ::-1].copy()
    host.feed_mask(flipped)
    (picture,) = effect.render([1])
    check(picture.pixels, frames[1], flipped[1][..., 0])
    assert {request.source_digest for request in server.requests} == {asked}


@pytest.mark.parametrize("context", [FILTER, GENERAL])
@pytest.mark.parametrize("alpha", ["OfxImageAlphaPremultiplied", "OfxImageAlphaUnPremultiplied"])
def test_the_output_has_the_alpha_of_the_source_whatever_the_mask_has(
    host: OfxHost, server: FakeServer, context: str, alpha: OptionValue
) -> None:
    frames = clip()
    host.feed(frames, premultiplication=alpha)
    if context == GENERAL:
        host.feed_mask(mask(np.uint8, 4), mask_premultiplication="OfxImageAlphaPremultiplied")
    host.load()
    host.create(context).render([1])
    straight = alpha == "OfxImageAlphaUnPremultiplied"
    told = frame_pb2.ALPHA_STRAIGHT if straight else frame_pb2.ALPHA_PREMULTIPLIED
    assert server.requests[-1].alpha == told
    assert server.frames[1][0].alpha == told
