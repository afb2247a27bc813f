from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desa.errors import DesaError, SettingsError
from desa.search.where import chosen_rows

COLUMNS = {
    "teff": pa.array([5000.0, 6000.0, None, 7000.0]),
    "snr_g": pa.array([10, 40, 50, 60]),
    "kind": pa.array(["dwarf", "giant", None, "dwarf"]),
    "binary": pa.array([True, False, None, True]),
    "vectors": pa.array([[1.0], [2.0], [3.0], [4.0]]),
}


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("teff > 5000", [1, 3]),
        ("teff > 5500 and snr_g > 45", [3]),
        ("teff < 5500 or snr_g >= 50", [0, 2, 3]),
        ("not (teff > 5500)", [0]),
        ("not teff > 5500 or kind == 'giant'", [0, 1]),
        ("5500 <= teff < 7000", [1]),
        ("teff / 1000 - 1 == 5", [1]),
        ("-teff < -(5000 + 500) * 1", [1, 3]),
        ("kind == 'dwarf'", [0, 3]),
        ("kind != 'dwarf'", [1]),
        ("kind in ('giant', 'other')", [1]),
        ("snr_g not in (10, 40)", [2, 3]),
        ("kind not in ('giant',)", [0, 3]),
        ("binary", [0, 3]),
        ("not binary", [1]),
        ("binary == 1 and True", [0, 3]),
        ("teff == teff", [0, 1, 3]),
        ("snr_g / 0 > 5", [0, 1, 2, 3]),
        ("True", [0, 1, 2, 3]),
    ],
)
def test_conditions_choose_the_rows_where_they_are_known_to_hold(condition: str, rows: list[int]) -> None:
    assert np.flatnonzero(chosen_rows(condition, COLUMNS, 4)).tolist() == rows


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("tef > 1", "did you mean 'teff'"),
        ("TEFF > 1", "did you mean 'teff'"),
        ("quux > 1", "no column 'quux'; there are"),
        ("teff = 1", "two equal signs"),
        ("teff > 1 & snr_g > 3", "no place"),
        ("teff > 'hot'", "is words and teff is not"),
        ("kind > 'a'", "compared by ==, != or in"),
        ("kind + 1 > 2", "words"),
        ("teff", "a number, not a condition"),
        ("kind", "words, not a condition"),
        ("vectors > 1", "neither numbers nor words"),
        ("", "not understood"),
        ("teff is None", "no place"),
        ("snr_g in 5", "a list"),
        ("teff ** 9 > 1", "no place"),
        ("9" * 400 + " < teff", "too large"),
        ("(" * 80 + "teff" + ")" * 80 + " +" * 80, "not understood"),
        ("-" * 100 + "teff > 1", "too many brackets"),
        ("teff > 1 " + "and teff > 1 " * 400, "characters"),
        ("teff\0 > 1", "not understood"),
    ],
)
def test_what_is_no_condition_is_refused_in_words(condition: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("(", r"\(")):
        chosen_rows(condition, COLUMNS, 4)


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('true')",
        "teff.__class__ == 1",
        "(lambda: 1)() > 0",
        "[x for x in (1,)] == 1",
        "teff[0] > 1",
        "f'{teff}' == ''",
        "open('x') == 1",
        "(teff := 1) > 0",
        "1 if teff else 2",
        "b'x' == 1",
        "1j > 0",
        "... == 1",
        "None == 1",
        "'a' * 10 ** 9 == 'a'",
        "2 ** 10 ** 10 > 1",
        "1 << 999999 > 1",
    ],
)
def test_nothing_but_conditions_gets_through(attack: str) -> None:
    with pytest.raises(SettingsError):
        chosen_rows(attack, COLUMNS, 4)


@given(st.text("abtefsnr_g0159 .<>=!()+-*/'and or not in,[]{}:\\\n\"", max_size=60))
def test_any_text_is_either_a_condition_or_one_sentence(text: str) -> None:
    try:
        found = chosen_rows(text, COLUMNS, 4)
    except DesaError:
        return
    assert found.shape == (4,)
    assert found.dtype == np.bool_
