"""Argument checks: what passes, and what the errors say."""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowshotgan.checks import (
    check_types,
    not_negative,
    one_of,
    parse_duration,
    parse_seeds,
    positive,
    power_of_two,
    same_keys,
    whole,
    with_preset,
)
from lowshotgan.errors import ConfigError, RecipeError


def test_one_of_names_the_closest_choice():
    assert one_of("fit", "crop", ("crop", "pad")) == "crop"
    with pytest.raises(ConfigError, match="fit must be one of crop, pad; got 'corp'. Did you mean 'crop'?"):
        one_of("fit", "corp", ("crop", "pad"))
    with pytest.raises(ConfigError) as error:
        one_of("fit", "zzz", ("crop", "pad"))
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "3", None, True])
def test_positive_refuses(value):
    with pytest.raises(ConfigError, match="lr must be a number above 0"):
        positive("lr", value)


@pytest.mark.parametrize("value", [1, 0.5, 1e-12])
def test_positive_passes(value):
    assert positive("lr", value) == value


def test_whole_refuses_fractions():
    assert whole("width", 3) == 3
    assert type(whole("width", np.int64(3))) is int
    for value in (True, "3", np.float64(3), np.array([3, 4])):
        with pytest.raises(ConfigError, match="width must be a whole number"):
            whole("width", value)
    with pytest.raises(ConfigError, match=r"width must be a whole number of at least 1, got 3\.0"):
        whole("width", 3.0)
    with pytest.raises(ConfigError, match="width must be a whole number of at least 1, got 0"):
        whole("width", 0)


def test_not_negative_names_the_first_that_is():
    settings = SimpleNamespace(kl_weight=0, pair_weight=-0.5, code_weight=1.0)
    not_negative(settings, "kl_weight", "code_weight")
    with pytest.raises(ConfigError, match=r"pair_weight must be 0 or more, got -0\.5"):
        not_negative(settings, "kl_weight", "pair_weight", "code_weight")


@given(st.integers(-10, 5000))
def test_power_of_two_against_a_list(value):
    if value in {4, 8, 16, 32, 64, 128, 256, 512, 1024}:
        assert power_of_two("side", value) == value
    else:
        with pytest.raises(ConfigError, match="from 4 to 1024"):
            power_of_two("side", value)


@pytest.mark.parametrize("value", [64.0, True, "64", None])
def test_power_of_two_wants_a_whole_number(value):
    with pytest.raises(ConfigError):
        power_of_two("side", value, low=1)


@pytest.mark.parametrize(
    ("seeds", "n", "expected"),
    [
        (None, None, [0]),
        (None, 3, [0, 1, 2]),
        (7, None, [7]),
        (7, 3, [7, 8, 9]),
        (range(4), None, [0, 1, 2, 3]),
        ([5, 0], 2, [5, 0]),
        ("0,5,10-12", None, [0, 5, 10, 11, 12]),
        (" 1 , 2 ", None, [1, 2]),
    ],
)
def test_seeds(seeds, n, expected):
    assert parse_seeds(seeds, n) == expected


@pytest.mark.parametrize(
    ("seeds", "n", "message"),
    [
        ([], None, "empty"),
        ("", None, "empty"),
        ("a-b", None, "cannot read 'a-b'"),
        ("5-1", None, "must rise"),
        ("0-1000000", None, "1,000,000"),
        (-1, None, "got -1"),
        ([2**63], None, "2\\*\\*63"),
        ([1, 2], 3, "n=3 but 2 seeds"),
        (None, 0, "at least 1"),
        (None, True, "at least 1"),
        (None, 1.5, "at least 1"),
        (["a"], None, "got 'a'"),
        ([1.5], None, "got 1.5"),
        ([True], None, "got True"),
        (1.5, None, "got 1.5"),
    ],
)
def test_unusable_seeds(seeds, n, message):
    with pytest.raises(ConfigError, match=message):
        parse_seeds(seeds, n)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20))
def test_seeds_survive_being_written_as_text(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds == parse_seeds(seeds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("90s", 90),
        ("9m", 540),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("45", 45),
        (12, 12.0),
        (np.int64(12), 12.0),
        ("2h0m5s", 7205),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "9x", "m", "-5s", "0s", 0, -1, math.nan, "5m3h", timedelta(minutes=9)])
def test_unusable_durations(text):
    with pytest.raises(ConfigError, match="budget"):
        parse_duration(text)


def test_same_keys_counts_and_names():
    assert same_keys("weights", ["a", "b"], ["b", "a"]) is None
    message = same_keys("weights", ["a", "b", "c", "d", "e"], ["e", "x"])
    assert message == "weights: 4 missing (a, b, c), 1 unexpected (x)"
    assert same_keys("weights", ["a"], ["a", "x"]) == "weights: 0 missing (none), 1 unexpected (x)"


class _WithPresets:
    PRESETS = {"slow": {"lr": 0.1, "steps": 9}}  # noqa: RUF012


def test_presets_give_way_to_given_values():
    assert with_preset(_WithPresets, {"preset": "slow", "steps": 3}) == {"lr": 0.1, "steps": 3}
    assert with_preset(_WithPresets, {"steps": 3}) == {"steps": 3}
    assert with_preset(dict, {"preset": "slow"}) == {"preset": "slow"}  # refused later, as any unknown setting
    with pytest.raises(ConfigError, match="slow"):
        with_preset(_WithPresets, {"preset": "slo"})


@dataclass(frozen=True)
class Settings:
    count: int = 1
    rate: float | None = None
    on: bool = True
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)


@pytest.mark.parametrize(
    "values",
    [{"count": 3, "on": False}, {"rate": 2}, {"rate": None}, {"names": ["a", "b"]}, {"pair": [1, 0.5]}, {"names": ()}],
)
def test_values_of_the_annotated_type_pass(values):
    check_types(Settings, values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"count": 2.5}, "count must be a whole number, got 2.5"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"on": "no"}, "on must be true or false, got 'no'"),
        ({"on": 1}, "on must be true or false, got 1"),
        ({"rate": "abc"}, "rate must be a number or None, got 'abc'"),
        ({"rate": float("nan")}, "rate must be a number or None, got nan"),
        ({"names": "ab"}, "names must be a list, each entry a text, got 'ab'"),
        ({"names": [1]}, "names must be a list, each entry a text"),
        ({"pair": [1.0]}, "pair must be a list of 2"),
    ],
)
def test_values_of_another_type_are_refused(values, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        check_types(Settings, values)
    with pytest.raises(RecipeError):
        check_types(Settings, values, error=RecipeError)
