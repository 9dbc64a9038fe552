"""What is foretold of a job, from made-up measurements."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from engine.plan import Direction, Paint, Painted, Propagate
from engine.settings import PropagationSettings, TranslationSettings
from engine.types import FrameSize
from server.database import Database
from server.effort import Machine, Piece, finding_cuts, loading, piece_of, starting
from server.forecast import Course, Forecast, Outlook, foretold
from server.speeds import Speeds

SMALL, FULL = FrameSize(640, 360), FrameSize(1920, 1080)
TWO_CORES = Machine(threads=2)
CARD = Machine(threads=16, painting_card="a card", propagation_card="a card")
PAINTING = "paint alone"
PROPAGATION = "propagate standard"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def speeds(database: Database) -> Speeds:
    return Speeds(database)


def painting(size: FrameSize = SMALL, machine: Machine = TWO_CORES, **settings: object) -> Piece:
    """Of a key frame that is painted against two others."""
    wanted = TranslationSettings(**settings)  # type: ignore[arg-type]
    references = Painted(0, "first"), Painted(4, "second")
    step = Paint("take", 8, "recipe", wanted, references)
    return piece_of(step, size, PropagationSettings(), machine)


def propagation(size: FrameSize = SMALL, machine: Machine = TWO_CORES, **settings: object) -> Piece:
    step = Propagate("picture", 9, 8, "take", "take", Direction.FORWARD)
    return piece_of(step, size, PropagationSettings(**settings), machine)  # type: ignore[arg-type]


def paintings(number: int, seconds: float = 10.0) -> dict[str, Piece]:
    return {f"painting {index}": Piece(PAINTING, (seconds,)) for index in range(number)}


def propagations(number: int, seconds: float = 1.0) -> dict[str, Piece]:
    return {f"step {index}": Piece(PROPAGATION, (seconds,)) for index in range(number)}


def done(forecast: Forecast, pieces: dict[str, Piece], factor: float, now: float) -> list[Outlook]:
    """Does those pieces at so many times their foretold time; what is said after each."""
    said = []
    for key, piece in pieces.items():
        forecast.begin(key, now)
        now += factor * piece.seconds
        forecast.finish(key, factor * piece.seconds)
        said.append(forecast.outlook(now))
    return said


def test_work_that_was_never_measured_takes_time_and_is_rough(speeds: Speeds) -> None:
    for piece in (painting(), propagation(), starting(), finding_cuts(100, SMALL)):
        outlook = foretold(speeds, [piece])
        assert outlook.seconds_left > 0
        assert outlook.is_rough
    assert foretold(speeds, []) == Outlook(fraction=0.0, seconds_left=0.0, is_rough=False)


def test_what_was_measured_is_not_rough_and_is_known_to_the_next_server(
    speeds: Speeds, database: Database
) -> None:
    speeds.learn(PAINTING, 2.0)
    for known in (speeds, Speeds(database)):
        outlook = foretold(known, paintings(3).values())
        assert outlook.seconds_left == pytest.approx(60)
        assert not outlook.is_rough


def test_a_kind_that_was_never_measured_is_as_slow_as_others_of_its_sort(speeds: Speeds) -> None:
    speeds.learn("propagate draft", 3.0)
    outlook = foretold(speeds, propagations(10).values())
    assert outlook.seconds_left == pytest.approx(30)
    assert outlook.is_rough
    # Nothing is known of paintings but that the machine is slow.
    assert foretold(speeds, paintings(1).values()).seconds_left == pytest.approx(30)


def test_a_little_unknown_work_beside_much_that_is_known_is_not_rough(speeds: Speeds) -> None:
    speeds.learn(PAINTING, 1.0)
    pieces = paintings(4) | propagations(2)
    assert not foretold(speeds, pieces.values()).is_rough


def test_the_table_tells_apart_what_differs_a_lot_in_time() -> None:
    usual = painting()
    assert painting(FULL).seconds > 5 * usual.seconds
    assert painting(steps=8).seconds < 0.7 * usual.seconds
    assert painting(pixel_fusion=False).seconds < usual.seconds < painting(strength=1.0).seconds
    assert painting(guidance_scale=3.0).seconds > 1.3 * usual.seconds
    assert painting(painter="style").seconds < usual.seconds / 10
    large = painting(model="a folder", controlnet="another", steps=20)
    assert large.seconds > 10 * usual.seconds
    assert painting(machine=CARD, model="a folder", controlnet="another").seconds < 5
    assert painting(machine=Machine(threads=16)).seconds < usual.seconds / 3
    assert propagation(quality="best").seconds > 2 * propagation().seconds
    assert propagation(flow_estimator="raft").seconds > 3 * propagation().seconds
    kinds = {
        painting(size, machine, **settings).kind
        for size in (SMALL, FULL)
        for machine in (TWO_CORES, CARD)
        for settings in ({}, {"guidance_scale": 3.0}, {"model": "a folder"}, {"painter": "style"})
    }
    assert len(kinds) == 14  # the packaged style paints on the processor only


def test_only_a_diffusion_model_has_to_be_loaded_and_a_large_one_for_longer() -> None:
    built_in = loading(TranslationSettings(), TWO_CORES)
    large = loading(TranslationSettings(model="a folder", controlnet=""), TWO_CORES)
    assert built_in is not None
    assert large is not None
    assert large.seconds > built_in.seconds
    assert loading(TranslationSettings(painter="style"), TWO_CORES) is None


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_what_a_job_measures_corrects_what_is_left_of_it_without_a_jump(
    speeds: Speeds, factor: float
) -> None:
    pieces = paintings(20)
    forecast = Forecast(speeds, now=0.0)
    forecast.plan(pieces)
    said = [forecast.outlook(0.0), *done(forecast, pieces, factor, 0.0)]
    true = [factor * 10 * (20 - number) for number in range(21)]
    for outlook, left in zip(said[5:-1], true[5:-1], strict=True):
        assert outlook.seconds_left == pytest.approx(left, rel=0.3)
        assert not outlook.is_rough
    fractions = [outlook.fraction for outlook in said]
    assert fractions == sorted(fractions)
    assert fractions[10] == pytest.approx(0.5, abs=0.1)
    assert fractions[-1] == 1
    for earlier, later in pairwise(said):
        assert later.seconds_left < 2.5 * earlier.seconds_left


def test_paintings_that_are_slow_make_the_rest_slow_that_was_never_measured(
    speeds: Speeds,
) -> None:
    first, rest = paintings(10), propagations(100)
    forecast = Forecast(speeds, now=0.0)
    forecast.plan(first | rest)
    *_, said = done(forecast, first, 3.0, 0.0)
    assert said.seconds_left == pytest.approx(300, rel=0.15)
    assert said.is_rough


def test_within_a_painting_the_bar_moves_with_its_steps_and_between_them_with_time(
    speeds: Speeds,
) -> None:
    piece = painting()
    steps = len(piece.parts) - 1
    forecast = Forecast(speeds, now=0.0)
    forecast.plan({"take": piece})
    forecast.begin("take", 0.0)
    now, said = 0.0, []
    for step, seconds in enumerate(piece.parts, 0):
        forecast.begin("take", now, step, steps)
        said += [forecast.outlook(now), forecast.outlook(now + seconds / 2)]
        now += seconds
    left = [outlook.seconds_left for outlook in said]
    assert left == sorted(left, reverse=True)
    assert said[-1].fraction > 0.8
    for outlook in said:
        gone = piece.seconds - outlook.seconds_left
        assert outlook.fraction == pytest.approx(gone / piece.seconds, abs=0.02)


def test_a_step_that_lasts_longer_than_foretold_says_so_before_it_is_done(speeds: Speeds) -> None:
    forecast = Forecast(speeds, now=0.0)
    forecast.plan(paintings(5))
    forecast.begin("painting 0", 0.0)
    said = [forecast.outlook(float(now)).seconds_left for now in (0, 10, 20, 30)]
    assert said[0] == pytest.approx(50)
    assert said[1] == pytest.approx(40)
    assert said[1] < said[2] < said[3]


def test_a_model_that_is_loaded_in_between_costs_the_painting_nothing(speeds: Speeds) -> None:
    model = loading(TranslationSettings(), TWO_CORES)
    assert model is not None
    forecast = Forecast(speeds, now=0.0)
    forecast.plan({"loading": model} | paintings(2))
    forecast.begin("painting 0", 0.0)
    forecast.begin("loading", 0.0)
    forecast.finish("loading", 100.0)
    forecast.begin("painting 0", 100.0)
    forecast.begin("painting 1", 110.0)  # the first one is saved meanwhile
    assert forecast.outlook(110.0).seconds_left == pytest.approx(10)
    paces = dict(forecast.measured_paces())
    assert paces[PAINTING] == pytest.approx(1)
    assert paces[model.kind] > 10


def test_pictures_that_are_made_and_not_saved_yet_are_not_left_to_do(speeds: Speeds) -> None:
    pieces = propagations(100)
    forecast = Forecast(speeds, now=0.0)
    forecast.plan(pieces)
    for number, piece in enumerate(pieces.values()):
        forecast.begin_one(piece, float(number))
        if number >= 4:  # four pictures are being saved
            forecast.finish(f"step {number - 4}", 1.0)
        assert forecast.outlook(float(number)).seconds_left == pytest.approx(100 - number)


def test_what_is_found_in_the_store_is_no_measurement(speeds: Speeds) -> None:
    forecast = Forecast(speeds, now=0.0)
    forecast.plan(paintings(2))
    forecast.finish("painting 0", None)
    assert forecast.outlook(0.0).seconds_left == pytest.approx(10)
    assert not dict(forecast.measured_paces())


def test_cuts_change_the_plan_and_the_bar_does_not_go_back(speeds: Speeds) -> None:
    cuts = finding_cuts(1000, SMALL)
    forecast = Forecast(speeds, now=0.0)
    forecast.plan({"cuts": cuts} | propagations(10))
    forecast.begin("cuts", 0.0, 1, 1000)
    forecast.begin("cuts", cuts.seconds / 2, 501, 1000)
    half = forecast.outlook(cuts.seconds / 2)
    assert half.is_rough
    assert half.seconds_left == pytest.approx(cuts.seconds / 2 + 10, rel=0.05)
    forecast.finish("cuts", cuts.seconds)
    forecast.plan(propagations(1000))
    found = forecast.outlook(cuts.seconds)
    assert found.fraction >= half.fraction
    assert found.seconds_left == pytest.approx(1000, rel=0.1)


def test_a_bar_that_was_too_far_goes_on_slowly_until_it_is_true_again() -> None:
    course = Course(0.0)
    assert course.move(10.0, 10.0) == pytest.approx(0.5)
    told = [course.move(float(now), 100.0 - now) for now in range(11, 100)]
    assert told == sorted(told)
    assert len(set(told)) == len(told)
    assert told[79 - 11] == pytest.approx(0.79, abs=0.02)
