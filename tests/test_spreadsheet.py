from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table

from desa.spreadsheet import as_words, words_only


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("KIC 8462852", "KIC 8462852"),
        ("", ""),
        ("a=b", "a=b"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        ("  =1", "'  =1"),
        ("\t=1", "' =1"),
        ("\tword", "' word"),
        ("\rword", "' word"),
        ("a\rb", "a b"),
        ("a\r\n=cmd", "a  =cmd"),
        ("\x00=1", "' =1"),
    ],
)
def test_nothing_that_a_spreadsheet_would_run(text: str, shown: str) -> None:
    assert as_words(text) == shown


def test_numbers_masks_and_descriptions_stay() -> None:
    table = Table(
        {
            "=name": Column(["=a", "b"], description="words"),
            "x": np.array([-1.5, 2.0]),
            "masked": MaskedColumn(["-c", "d"], mask=[False, True]),
            "object": Column(["@e", ""], dtype=object),
        }
    )
    found = words_only(table)
    assert found.colnames == ["'=name", "x", "masked", "object"]
    assert found["'=name"].tolist() == ["'=a", "b"]
    assert found["'=name"].description == "words"
    assert found["x"].tolist() == [-1.5, 2.0]
    assert found["masked"].tolist() == ["'-c", None]
    assert found["object"].tolist() == ["'@e", ""]
    assert table.colnames[0] == "=name"
    assert table["=name"][0] == "=a"
