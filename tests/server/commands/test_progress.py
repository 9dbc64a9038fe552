"""What the command line says while work goes on, without a terminal."""

import io
import re
from pathlib import Path
from typing import Any

from inbetween.v1.session_pb2 import Cost, Job, JobState, Stage
from rich.console import Console

from server.commands.progress import LINE_SECONDS, ProgressDisplay, left_text, rough_text


class Watch:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def display(console: io.StringIO, clock: Watch) -> ProgressDisplay:
    return ProgressDisplay(Console(file=console, force_terminal=False, highlight=False), clock)


def painting(step: int, fraction: float, seconds_left: float, *, rough: bool = False) -> Job:
    return Job(
        state=JobState.JOB_STATE_RUNNING,
        stage=Stage.STAGE_PAINTING,
        frame=24,
        step=step,
        steps=12,
        number=2,
        to_do=Cost(paintings=4),
        fraction=fraction,
        seconds_left=seconds_left,
        rough=rough,
    )


def test_a_line_says_what_is_done_of_how_much_and_how_long_it_goes_on() -> None:
    text = io.StringIO()
    display(text, Watch()).job(painting(5, 0.31, 80))
    assert text.getvalue() == (
        "Painting key frame 24 (2 of 4), 31%, step 5 of 12, about 1:20 left\n"
    )


def test_lines_come_at_new_stages_at_each_tenth_and_where_nothing_was_said_for_a_while() -> None:
    text, clock = io.StringIO(), Watch()
    shown = display(text, clock)
    for hundredth in range(31, 52):
        shown.job(painting(5, hundredth / 100, 80))
    assert len(text.getvalue().splitlines()) == 3  # at 31, 40 and 50 %
    for _ in range(10):
        clock.now += LINE_SECONDS / 5
        shown.job(painting(5, 0.51, 80))
    assert len(text.getvalue().splitlines()) == 5
    shown.job(Job(state=JobState.JOB_STATE_RUNNING, stage=Stage.STAGE_BLENDING, fraction=0.52))
    assert len(text.getvalue().splitlines()) == 6


def test_writing_the_movie_belongs_to_the_whole_and_the_bar_does_not_go_back() -> None:
    text = io.StringIO()
    shown = display(text, Watch())
    shown.job(painting(1, 0.0, 90), then_seconds=10)
    shown.job(painting(12, 0.99, 1), then_seconds=10)
    shown.job(Job(state=JobState.JOB_STATE_DONE, stage=Stage.STAGE_BLENDING, fraction=1))
    for tenth in range(10):
        shown.follow("Writing out.mp4", tenth / 10, "")
    shares = [int(share) for share in re.findall(r"(\d+)%", text.getvalue())]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 85 <= shares[2] <= 92


def test_a_rough_time_is_said_roughly() -> None:
    assert [rough_text(seconds) for seconds in (3, 9.9, 12, 24, 57, 200, 3100, 9000)] == [
        "a few seconds",
        "a few seconds",
        "roughly 10 s",
        "roughly 20 s",
        "roughly 1 min",
        "roughly 3 min",
        "roughly 50 min",
        "roughly 2 h",
    ]
    assert left_text(0, is_rough=True) == ""
    text = io.StringIO()
    display(text, Watch()).job(painting(5, 0.31, 245, rough=True))
    assert text.getvalue().endswith("roughly 4 min left\n")
    display(text, Watch()).job(painting(12, 0.99, 2, rough=True))
    assert text.getvalue().endswith(", a few seconds left\n")


def test_without_a_terminal_a_render_tells_how_it_goes_with_counts(
    inbetween: Any, movie: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    result = inbetween("render", movie("in.mp4"), "--keys", "0,4", "--out", out)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert any(re.search(r"^Painting key frame \d \([12] of 2\), \d+%", line) for line in lines)
    assert any(re.search(r"^Writing out.mp4, \d+%, frame 1 of 5", line) for line in lines)
    shares = [int(share) for line in lines for share in re.findall(r", (\d+)%", line)]
    assert shares == sorted(shares)
