"""Ages are the package's own, and right for clusters of known age."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gyrointerp import gyro_age_posterior

from desa.ages.gyrochronology import AGES_GYR, LEVELS, Gyrochronology

FEW = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0])


@pytest.fixture(scope="module")
def few() -> Gyrochronology:
    return Gyrochronology.of_clusters(ages_gyr=FEW)


@pytest.mark.parametrize(("prot", "teff"), [(12.0, 5500.0), (3.0, 4500.0)])
def test_the_posterior_is_the_packages(few: Gyrochronology, prot: float, teff: float) -> None:
    options = {"age_grid": 1000.0 * FEW, "N_grid": 160, "bounds_error": "4gyrextrap", "verbose": False}
    its = 1000.0 * gyro_age_posterior(prot, teff, Prot_err=0.2, Teff_err=80.0, **options)
    ours = few.posterior(prot, 0.2, teff, 80.0)
    np.testing.assert_allclose(ours, its, atol=0.01 * its.max())


def test_what_is_not_known_has_no_age(few: Gyrochronology) -> None:
    assert np.isfinite(few.posterior(10.0, 0.5, 5500.0, 90.0)).all()
    for star in ((np.nan, 0.5, 5500.0, 90.0), (10.0, np.nan, 5500.0, 90.0), (10.0, 0.5, 6500.0, 90.0)):
        assert np.isnan(few.quantiles(few.posterior(*star))).all()


def test_quantiles_of_a_density_that_is_known() -> None:
    model = Gyrochronology(np.linspace(0.0, 2.0, 401), np.zeros((401, 1)), np.zeros((401, 1, 1), np.float32))
    found = model.quantiles(np.full(401, 0.5))
    np.testing.assert_allclose(found, 2.0 * np.array(LEVELS), atol=1e-9)


@pytest.mark.slow
def test_clusters_have_their_age(shared: Path) -> None:
    """Real stars of clusters on whose sequences the model was built, and one star at a time is uncertain."""
    model = Gyrochronology.of_clusters()
    table = pq.read_table(shared / "data/catalogs/curtis2020_cluster_rotation.parquet").to_pandas()
    for cluster, low, high in (("Praesepe", 0.5, 0.8), ("NGC6811", 0.8, 1.2)):
        own = table[table.Cluster.str.replace(" ", "") == cluster]
        own = own[(own.Teff > 4200) & (own.Teff < 5800)][:60]
        assert len(own) >= 20, cluster
        ages = [
            model.quantiles(model.posterior(prot, 0.05 * prot, teff, 75.0))[2]
            for prot, teff in zip(own.Prot, own.Teff, strict=True)
        ]
        assert low < np.median(ages) < high, cluster


@pytest.mark.slow
def test_published_ages_come_out(shared: Path) -> None:
    """Of real Kepler stars with planets, by the model's authors from the same periods and temperatures."""
    model = Gyrochronology.of_clusters()
    table = pq.read_table(shared / "data/catalogs/bouma2024_koi_gyro_ages.parquet").to_pandas()
    names = ["adopted_Teff", "adopted_Teff_err", "Prot", "Prot_err", "gyro_median"]
    numbers = table[names].apply(lambda column: column.astype(str).str.strip()).replace("", "nan")
    rows = numbers.apply(lambda column: column.str.extract(r"([\d.]+)")[0].astype(float)).dropna().to_numpy()
    rows = rows[(rows[:, 0] > 3900) & (rows[:, 0] < 6100) & (rows[:, 4] > 300) & (rows[:, 4] < 3500)][:60]
    assert len(rows) == 60
    ours = [model.quantiles(model.posterior(p, p_err, t, t_err))[2] for t, t_err, p, p_err, _ in rows]
    assert np.median(np.abs(np.array(ours) / (rows[:, 4] / 1000) - 1)) < 0.05


def test_ages_told_apart_ascend() -> None:
    assert (np.diff(AGES_GYR) > 0).all() and AGES_GYR[-1] > 4.0
