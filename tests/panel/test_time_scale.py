from fractions import Fraction

import pytest

from panel.model.time_scale import TimeScale, tick_step

FITTED = TimeScale.fitting(100, 199, 1000)


def test_the_whole_clip_fits_and_every_frame_has_its_cell() -> None:
    assert FITTED.visible == (100, 199)
    assert [FITTED.frame_at(FITTED.centre_of(frame)) for frame in (100, 150, 199)] == [
        100,
        150,
        199,
    ]
    assert FITTED.frame_at(-50) == 100
    assert FITTED.frame_at(5000) == 199


def test_zooming_keeps_the_frame_under_the_pointer() -> None:
    zoomed = FITTED.zoomed(505, 4.0)
    assert zoomed.frame_at(505) == FITTED.frame_at(505)
    assert zoomed.visible[1] - zoomed.visible[0] == pytest.approx(25, abs=1)
    assert zoomed.zoomed(505, 0.001) == FITTED


def test_scrolling_stops_at_the_ends_of_the_clip() -> None:
    zoomed = FITTED.zoomed(0, 4.0)
    assert zoomed.scrolled(-1e6).visible[0] == 100
    assert zoomed.scrolled(1e6).visible[1] == 199


def test_a_playhead_out_of_sight_is_brought_into_view() -> None:
    zoomed = FITTED.zoomed(0, 10.0)
    assert zoomed.showing(105) == zoomed
    assert zoomed.showing(180).visible[1] == 180
    assert zoomed.showing(180).showing(120).visible[0] == 120


def test_a_fitted_timeline_stays_fitted_when_the_window_grows() -> None:
    assert FITTED.resized(1500) == TimeScale.fitting(100, 199, 1500)
    zoomed = FITTED.zoomed(0, 4.0)
    assert zoomed.resized(1500).pixels_per_frame == zoomed.pixels_per_frame


def test_ticks_are_whole_parts_of_a_second_or_whole_seconds() -> None:
    assert tick_step(15, Fraction(24), 100) == 8
    assert tick_step(2, Fraction(24), 100) == 120
    assert tick_step(0.001, Fraction(25), 100) == 3600 * 25
