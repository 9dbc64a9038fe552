"""How the command line shows work that goes on, on stderr."""

import time
from collections.abc import Callable
from types import TracebackType

from inbetween.v1.session_pb2 import Job, JobState, Stage
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

STAGES = {
    Stage.STAGE_UNSPECIFIED: "Working",
    Stage.STAGE_QUEUED: "Waiting for its turn",
    Stage.STAGE_STARTING: "Starting",
    Stage.STAGE_LOADING_MODEL: "Loading the model",
    Stage.STAGE_FINDING_CUTS: "Finding cuts",
    Stage.STAGE_PAINTING: "Painting",
    Stage.STAGE_PROPAGATING: "Propagating",
    Stage.STAGE_BLENDING: "Blending",
}


LINE_SECONDS = 15.0
"""Without a terminal, at most, between two lines."""


class ProgressDisplay:
    """On a terminal a bar with the time left; elsewhere a line now and then, with counts."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, left="")
        self._told: set[str] = set()
        """Stages that there was a line for."""
        self._told_tenths = 0
        self._told_at = clock()
        self._notices: set[str] = set()
        self._reached = 0.0
        self._job_share = 0.0
        """Of the time of a job and of what follows it."""

    def __enter__(self) -> "ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(
        self, stage: str, fraction: float | None = None, detail: str = "", place: str = ""
    ) -> None:
        """What is being done, where, and how much of it is."""
        doing = f"{stage} {place}".strip()
        if self._console.is_terminal:
            total = None if fraction is None else 1.0
            self._bar.update(
                self._task, total=total, completed=fraction, description=doing, left=detail
            )
        elif self._is_due(stage, fraction or 0.0):
            share = "" if fraction is None else f"{fraction:.0%}"
            line = ", ".join(part for part in (doing, share, detail) if part)
            self._console.print(line, soft_wrap=True)

    def notice(self, text: str) -> None:
        """Something the editor should know, said once."""
        if text not in self._notices:
            self._notices.add(text)
            self._console.print(text, soft_wrap=True)

    def job(self, job: Job, then_seconds: float = 0.0) -> None:
        """Where a job stands, after which something follows that takes so long."""
        for notice in job.notices:
            self.notice(notice)
        if job.seconds_left > 0 and job.fraction < 1:
            job_seconds = job.seconds_left / (1 - job.fraction)
            self._job_share = job_seconds / (job_seconds + then_seconds)
        self._reached = max(self._reached, self._job_share * job.fraction)
        is_known = job.state != JobState.JOB_STATE_QUEUED
        seconds_left = job.seconds_left + then_seconds if job.seconds_left else 0.0
        stage = STAGES.get(job.stage, STAGES[Stage.STAGE_UNSPECIFIED])
        parts = (_steps(job), left_text(seconds_left, is_rough=job.rough))
        detail = ", ".join(part for part in parts if part)
        self.show(stage, self._reached if is_known else None, detail, _place(job))

    def follow(self, stage: str, fraction: float, detail: str) -> None:
        """Where that stands what follows the job."""
        self.show(stage, self._reached + (1 - self._reached) * fraction, detail)

    def _is_due(self, stage: str, fraction: float) -> bool:
        """Whether there is something new to say, or nothing was said for a while."""
        now, tenths = self._clock(), int(10 * fraction)
        is_late = now - self._told_at >= LINE_SECONDS
        if stage in self._told and tenths <= self._told_tenths and not is_late:
            return False
        self._told.add(stage)
        self._told_tenths, self._told_at = max(tenths, self._told_tenths), now
        return True


def _place(job: Job) -> str:
    """What the stage is about: `key frame 24 (2 of 4)`."""
    count = {
        Stage.STAGE_PAINTING: job.to_do.paintings,
        Stage.STAGE_PROPAGATING: job.to_do.propagations,
        Stage.STAGE_BLENDING: job.to_do.blends,
    }.get(job.stage)
    if not count:
        return ""
    what = "key frame" if job.stage == Stage.STAGE_PAINTING else "frame"
    return f"{what} {job.frame} ({job.number:,} of {count:,})"


def _steps(job: Job) -> str:
    if not job.steps:
        return ""
    if job.stage == Stage.STAGE_LOADING_MODEL:
        return f"{job.steps:,} MB"
    if job.stage == Stage.STAGE_FINDING_CUTS:
        return f"frame {job.step:,} of {job.steps:,}"
    return f"step {job.step} of {job.steps}"


def left_text(seconds: float, *, is_rough: bool) -> str:
    """What is said of the time left; empty where nothing is known."""
    if seconds <= 0:
        return ""
    said = rough_text(seconds) if is_rough else f"about {time_text(seconds)}"
    return f"{said} left"


def rough_text(seconds: float) -> str:
    """As exact as a guess: a few seconds, roughly 20 s, roughly 4 min, roughly 3 h."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"roughly {round(seconds, -1):.0f} s"
    minutes = seconds / 60
    if minutes < 9.5:
        return f"roughly {max(1, minutes):.0f} min"
    if minutes < 85:
        return f"roughly {minutes / 10:.0f}0 min"
    return f"roughly {minutes / 60:.0f} h"


def time_text(seconds: float) -> str:
    """Seconds as people read them: 8 s, 2:05, 1:00:00."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{whole % 60:02}"
