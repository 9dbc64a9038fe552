"""What a client is told of the time that work takes, by a real server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from inbetween.v1.render_pb2 import EstimateCostRequest, EstimateCostResponse
from inbetween.v1.session_pb2 import JobState, Stage
from inbetween.v1.settings_pb2 import KeySettings, PropagationSettings, Settings

from server.database import SCHEMA_VERSION, Database
from server.serving import ServerOptions, serve
from tests.server.conftest import QUICK, Caller

DIFFUSION = Settings(
    keys=KeySettings(key_interval=0), propagation=PropagationSettings(quality="draft")
)
DIFFUSION.translation.steps = 4


@pytest.fixture
def fresh(short_folder: Path) -> Iterator[Caller]:
    """A server on a machine where nothing was rendered yet."""
    options = ServerOptions(short_folder / "s", short_folder / "l", short_folder / "h")
    with serve(options) as server, grpc.insecure_channel(server.address) as channel:
        yield Caller.on(channel)


def estimate(caller: Caller, session_id: str) -> EstimateCostResponse:
    return caller.render.EstimateCost(EstimateCostRequest(session_id=session_id))


def test_work_never_done_here_has_a_rough_price_and_once_it_was_done_one_that_is_not(
    fresh: Caller, tiny_clip: Path
) -> None:
    session = fresh.open(tiny_clip, keys=[0, 5, 11], settings=DIFFUSION)
    before = estimate(fresh, session.id)
    assert before.seconds > 0
    assert before.rough
    told = list(fresh.follow(session.id))
    assert told[-1].state == JobState.JOB_STATE_DONE, told[-1].error
    assert any(job.rough for job in told)
    assert not told[-1].rough
    done = estimate(fresh, session.id)
    assert done.reused == before.to_do
    assert (done.seconds, done.rough) == (0, False)

    # The same work with another seed: its cuts are known, its model is loaded.
    changed = Settings()
    changed.CopyFrom(DIFFUSION)
    changed.translation.seed = 1
    again = fresh.open(tiny_clip, keys=[0, 5, 11], settings=changed)
    fresh.run(again.id, (0, 0))
    after = estimate(fresh, again.id)
    assert after.seconds > 0
    assert not after.rough


def test_a_model_of_ones_own_never_costs_nothing(fresh: Caller, tiny_clip: Path) -> None:
    settings = Settings()
    settings.CopyFrom(DIFFUSION)
    settings.translation.model = "nobody/has-it"
    settings.translation.controlnet = ""
    own = estimate(fresh, fresh.open(tiny_clip, keys=[0, 11], settings=settings).id)
    built_in = estimate(fresh, fresh.open(tiny_clip, keys=[0, 11], settings=DIFFUSION).id)
    assert own.rough
    assert own.seconds > built_in.seconds


def test_the_bar_covers_loading_and_cuts_never_goes_back_and_counts_what_is_done(
    fresh: Caller, tiny_clip: Path
) -> None:
    session = fresh.open(tiny_clip, keys=[0, 5, 11], settings=DIFFUSION)
    told = list(fresh.follow(session.id))
    fractions = [job.fraction for job in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    running = [job for job in told if job.state == JobState.JOB_STATE_RUNNING and job.number]
    assert all(0 <= job.fraction <= 1 for job in running)
    assert {job.to_do.paintings for job in running} == {3}
    numbers = [job.number for job in running if job.stage == Stage.STAGE_PAINTING]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3}
    painting = next(job for job in told if job.stage == Stage.STAGE_PAINTING and job.steps)
    assert painting.fraction > 0.05  # the model was loaded before it
    stages = {entry.stage for entry in told[-1].stage_seconds}
    assert {Stage.STAGE_LOADING_MODEL, Stage.STAGE_FINDING_CUTS} <= stages


def test_time_left_goes_on_where_a_step_is_silent(fresh: Caller, tiny_clip: Path) -> None:
    """Loading a model tells nothing until it is over."""
    session = fresh.open(tiny_clip, keys=[0], settings=DIFFUSION)
    loading = [
        job
        for job in fresh.follow(session.id, keys_only=True)
        if job.stage == Stage.STAGE_LOADING_MODEL
    ]
    assert len({job.seconds_left for job in loading}) > 1


def test_what_an_earlier_version_learnt_is_forgotten_and_its_home_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(Database(path)):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("DROP TABLE paces")
        old.execute("CREATE TABLE speeds (work TEXT PRIMARY KEY, seconds_per_pixel REAL NOT NULL)")
        old.execute("INSERT INTO speeds VALUES ('propagate', 1e-6)")
        old.execute("PRAGMA user_version = 2")
    with closing(Database(path)) as database:
        assert database.paces() == {}
        database.save_pace("propagate draft", 2.0)
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_quick_work_is_priced_too(fresh: Caller, tiny_clip: Path) -> None:
    session = fresh.open(tiny_clip, keys=[0, 11], settings=QUICK)
    assert estimate(fresh, session.id).seconds > 0
