"""How the command line shows work that goes on, on stderr."""

from types import TracebackType

from inbetween.v1.session_pb2 import Job, Stage
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


class ProgressDisplay:
    """On a terminal a bar with the time left; elsewhere a line at each new stage."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
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
        self._stage = ""
        self._notices: set[str] = set()

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

    def show(self, stage: str, fraction: float | None = None, detail: str = "") -> None:
        """What is being done, and how much of it is."""
        if stage != self._stage:
            self._stage = stage
            if not self._console.is_terminal:
                self._console.print(stage, soft_wrap=True)
        total = None if fraction is None else 1.0
        self._bar.update(
            self._task, total=total, completed=fraction, description=stage, left=detail
        )

    def note(self, text: str) -> None:
        """Something the editor should know, said once."""
        if text not in self._notices:
            self._notices.add(text)
            self._console.print(text, soft_wrap=True)

    def job(self, job: Job) -> None:
        """Where a job stands."""
        for notice in job.notices:
            self.note(notice)
        self.show(
            STAGES.get(job.stage, STAGES[Stage.STAGE_UNSPECIFIED]), job.fraction, _detail(job)
        )


def _detail(job: Job) -> str:
    parts = []
    if job.stage in (Stage.STAGE_PAINTING, Stage.STAGE_PROPAGATING, Stage.STAGE_BLENDING):
        parts.append(f"frame {job.frame}")
    if job.stage == Stage.STAGE_LOADING_MODEL and job.steps:
        parts.append(f"{job.steps:,} MB")
    elif job.steps:
        parts.append(f"step {job.step} of {job.steps}")
    if job.seconds_left:
        parts.append(f"{time_text(job.seconds_left)} left")
    return ", ".join(parts)


def time_text(seconds: float) -> str:
    """Seconds as people read them: 8 s, 2:05, 1:00:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{whole % 60:02}"
