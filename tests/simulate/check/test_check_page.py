"""The page of mock against real, on the real files beside the project."""

import json
from pathlib import Path

import pytest

from desa.errors import UnsupportedFile
from desa.simulate.check.page import check_survey


def test_a_folder_without_real_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match="holds no folder kepler"):
        check_survey(tmp_path, tmp_path / "page")


@pytest.mark.slow
@pytest.mark.real
def test_the_page(shared: Path, tmp_path: Path) -> None:
    done: list[int] = []
    numbers = check_survey(
        shared / "data", tmp_path, pool=1500, spectra=200, progress=lambda n, _: done.append(n)
    )
    assert done == sorted(done)
    assert done[-1] == 5
    assert json.loads((tmp_path / "check.json").read_text()) == json.loads(json.dumps(numbers))
    aucs = [value for name, value in numbers.items() if name.startswith("AUC")]
    assert len(aucs) == 9
    assert all(0.3 < auc <= 1 and 0 < error < 0.2 for auc, error in aucs)
    text = (tmp_path / "report.html").read_text()
    for heading in ("Can a classifier tell?", "Rotation and activity", "Noise, gaps, power", "Spectra"):
        assert heading in text
    assert text.count("data:image/png") == 9
