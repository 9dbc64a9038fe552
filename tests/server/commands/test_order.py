"""What a person can get wrong on the command line before any server is asked."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import InbetweenError, InvalidValueError
from engine.types import FrameRange
from server.commands.order import RenderOrder


def order(**changes: Any) -> RenderOrder:
    given: dict[str, Any] = {
        "clip": Path("clip.mp4"),
        "out": Path("out.mp4"),
        "overwrite": False,
        "fresh": False,
        "frames": "",
        "keys": "",
        "paintings": [],
        "size_rule": "refuse",
        "settings": {"key_interval": None},
    }
    return RenderOrder.parse(**(given | changes))


def test_key_frames_by_hand_switch_the_automatic_ones_off() -> None:
    assert order(keys="0, 24,61").keys == (0, 24, 61)
    assert order(keys="0,24").settings["key_interval"] == 0
    assert order(keys="0,24", settings={"key_interval": 10}).settings["key_interval"] == 10


def test_automatic_key_frames_would_have_no_pictures_where_all_are_painted_by_hand() -> None:
    assert order(settings={"painter": "painted"}).settings["key_interval"] == 0
    both = {"painter": "painted", "key_interval": 5}
    assert order(settings=both).settings["key_interval"] == 5


def test_a_model_in_this_folder_is_found_by_a_server_that_works_in_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = order(settings={"model": "base", "controlnet": "owner/name"}).settings
    assert settings == {"model": str(tmp_path / "base"), "controlnet": "owner/name"}


def test_files_of_a_list_are_found_there_too_and_hub_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ink.safetensors", "film 2.safetensors"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    given = {
        "loras": "ink.safetensors 0.8 ; owner/name 0.3\nfilm 2.safetensors",
        "control_movie": "pose.%04d.png",
        "controlnet_2": "pocket",
    }
    assert order(settings=given).settings == {
        "loras": f"{tmp_path}/ink.safetensors 0.8 ; owner/name 0.3\n{tmp_path}/film 2.safetensors",
        "control_movie": f"{tmp_path}/pose.%04d.png",
        "controlnet_2": "pocket",
    }


def test_without_keys_those_of_the_session_stay() -> None:
    assert order().keys is None
    assert order(settings={"key_interval": 10}).keys is None


def test_a_range_has_both_its_ends() -> None:
    assert order(frames="0-95").frames == FrameRange(0, 95)


def test_a_key_frame_sets_for_itself_what_its_option_says() -> None:
    own = order(
        own_values=[
            "24: prompt=a woodcut, cold light, prompt-addition = snow, seed=3",
            "24: controlnet_weight=0.4,strength=0.5",
            " 61:anchor=yes, seed=",
        ]
    ).own_values
    assert own == {
        24: {
            "prompt": "a woodcut, cold light",
            "prompt_addition": "snow",
            "seed": 3,
            "controlnet_weight": 0.4,
            "strength": 0.5,
        },
        61: {"anchor": True, "seed": None},
    }


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"own_values": ["24 seed=3"]}, r"--key is '24 seed=3'.*24: prompt-addition=a raised"),
        ({"own_values": ["24: snow"]}, r"--key is '24: snow'"),
        ({"own_values": ["24: sed=3"]}, r'--key sets "sed".*choose prompt-addition, prompt, '),
        ({"own_values": ["24: seed=3.5"]}, r"--key sets seed to '3.5': give a whole number"),
        ({"own_values": ["24: strength=much"]}, r"sets strength to 'much': give a number"),
        (
            {"own_values": ["24: seed=99999999999"]},
            r"seed to '99999999999': choose a number from 0",
        ),
        ({"own_values": ["24: strength=nan"]}, r"sets strength to 'nan': choose a number from 0"),
        ({"own_values": ["24: anchor=on"]}, r"--key sets anchor to 'on': give yes or no"),
        ({"own_values": ["61: seed=3"], "frames": "0-30"}, r"Key frame 61 lies outside --range"),
        ({"frames": "5"}, r"--range is '5'.*0-95"),
        ({"frames": "9-3"}, r"range 9-3 is empty"),
        ({"keys": "0;3"}, r"--keys is '0;3'.*0,24,61"),
        ({"keys": "-1,3"}, r"--keys is '-1,3'"),
        ({"keys": "0,61", "frames": "0-30"}, r"Key frame 61 lies outside --range 0-30"),
        ({"paintings": ["frame24.png"]}, r"--painting is 'frame24.png'.*24=frame24.png"),
        ({"paintings": ["24=nowhere.png"]}, r"no painting .*nowhere.png"),
        ({"paintings": [f"2={__file__}", f"2={__file__}"]}, r"two paintings.*frame 2"),
        ({"size_rule": "stretch"}, r"--size-rule is 'stretch': choose refuse, fit, crop"),
    ],
)
def test_what_is_wrong_is_told_with_an_example(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InbetweenError, match=sentence):
        order(**wrong)


def test_a_wrong_value_is_the_persons_to_correct() -> None:
    with pytest.raises(InvalidValueError):
        order(keys="a")
