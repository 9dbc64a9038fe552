"""Every setting is an option, made from its annotation."""

import re

import pytest
from inbetween.v1.settings_pb2 import Settings
from typer.testing import CliRunner

from engine.errors import InvalidValueError
from server.cli import app
from server.commands.options import KEY_FRAMES, apply_options, setting_fields
from tests.annotated import WITH_NEEDS, another, settings_with, that_act, that_leave_idle


def shown(command: str, option: str) -> str:
    return CliRunner().invoke(app, [command, option], env={"COLUMNS": "200"}).stdout


HELP, HELP_ALL = shown("render", "--help"), shown("render", "--help-all")


@pytest.mark.parametrize("field", setting_fields(), ids=lambda field: field.name)
def test_all_help_names_every_setting_with_its_label(field) -> None:  # type: ignore[no-untyped-def]
    assert field.option in HELP_ALL
    assert f"{field.annotation.label}. " in HELP_ALL
    assert f"─ {field.annotation.section} ─" in HELP_ALL


@pytest.mark.parametrize("field", setting_fields(), ids=lambda field: field.name)
def test_help_leaves_out_advanced_settings(field) -> None:  # type: ignore[no-untyped-def]
    assert (f"{field.annotation.label}. " in HELP) is not field.annotation.advanced


@pytest.mark.parametrize("command", ["render", "selftest"])
def test_help_is_about_twenty_options_in_groups_and_names_the_rest(command: str) -> None:
    told = shown(command, "--help")
    options = re.findall(r"^│ (?:\*|) *(--[\w-]+)", told, re.MULTILINE)
    assert 10 < len(options) < 25
    assert "--help-all" in options
    assert re.search("─ Painting ─", told)
    assert re.search("─ ControlNets ─", shown(command, "--help-all"))


def test_key_frames_have_one_group() -> None:
    """Options of the command itself and settings."""
    assert HELP.count(f"─ {KEY_FRAMES} ─") == 1


def test_help_speaks_to_users() -> None:
    commands = ["render", "report", "selftest", "panel", "looks", "doctor", "sessions"]
    for told in (HELP_ALL, *(shown(command, "--help") for command in commands)):
        assert not re.search(r"\bsection \d|\bEq\.|\bFig\.|the paper", told)


def test_what_is_not_given_stays_as_it_is_in_the_session() -> None:
    settings = Settings()
    settings.translation.prompt = "woodcut"
    changed = apply_options(settings, {"strength": 0.5, "prompt": None})
    assert changed.translation.prompt == "woodcut"
    assert changed.translation.strength == 0.5
    assert not settings.translation.HasField("strength")


def test_a_setting_of_another_painter_is_refused_with_the_painters_that_use_it() -> None:
    with pytest.raises(InvalidValueError, match=r"painter style does not use --seed.*diffusion"):
        apply_options(Settings(), {"seed": 3, "painter": "style"})
    apply_options(Settings(), {"seed": 3, "painter": "diffusion"})


def test_the_painter_of_the_session_decides_what_may_be_set() -> None:
    settings = Settings()
    settings.translation.painter = "painted"
    with pytest.raises(InvalidValueError, match=r"painter painted does not use --prompt"):
        apply_options(settings, {"prompt": "mosaic"})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"controlnet_2_weight": 1.0},
            "--controlnet-2-weight has no effect without --controlnet-2",
        ),
        ({"controlnet": "", "controlnet_end": 0.5}, "--controlnet-end has no effect without"),
        (
            {"pixel_fusion": False, "fusion_strength": 1.0},
            "--fusion-strength has no effect without",
        ),
        (
            {"depth_model": "here"},
            "without --controlnet-image depth or --controlnet-2-image depth: give that too",
        ),
        ({"flow_weights": "a.pth"}, "without --flow-estimator raft|raft_small|gmflow: give that"),
    ],
)
def test_an_option_of_what_is_not_in_use_is_refused(
    given: dict[str, str | float], sentence: str
) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(sentence)):
        apply_options(Settings(), given)


@pytest.mark.parametrize("name", WITH_NEEDS)
def test_an_option_is_taken_only_where_what_it_needs_is_in_use(name: str) -> None:
    given = {name: another(name)}
    apply_options(settings_with(that_act(name)), given)
    with pytest.raises(InvalidValueError, match="has no effect without --"):
        apply_options(settings_with(that_leave_idle(name)), given)


def test_what_is_missing_may_lie_further_back() -> None:
    settings = settings_with({"controlnet_image": "depth", "controlnet": ""})
    sentence = (
        "--depth-model has no effect without --controlnet or --controlnet-2-image depth: give"
    )
    with pytest.raises(InvalidValueError, match=sentence):
        apply_options(settings, {"depth_model": "here"})


def test_what_an_option_belongs_to_may_be_in_use_in_the_session() -> None:
    settings = Settings()
    settings.translation.controlnet_image = "movie"
    apply_options(settings, {"control_movie": "pose.mov"})
    apply_options(Settings(), {"control_movie": ""})


def test_a_number_that_no_field_holds_is_refused_with_its_range() -> None:
    with pytest.raises(InvalidValueError, match=r"--key-interval is 99999999999.*0 to 100000"):
        apply_options(Settings(), {"key_interval": 99_999_999_999})
