import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.catalogs.crossmatch import groups, nearest


def separation(ra, dec, other_ra, other_dec):
    """Haversine formula, arcseconds."""
    ra, dec, other_ra, other_dec = map(np.radians, (ra, dec, other_ra, other_dec))
    root = np.sin((dec - other_dec) / 2) ** 2
    root = root + np.cos(dec) * np.cos(other_dec) * np.sin((ra - other_ra) / 2) ** 2
    return 3600 * np.degrees(2 * np.arcsin(np.sqrt(root)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 45.0, 89.9, -89.999]))
def test_nearest_is_that_of_a_plain_loop(seed, pole):
    rng = np.random.default_rng(seed)
    ra, other_ra = (rng.uniform(-0.002, 0.002, 12) % 360 for _ in range(2))
    dec, other_dec = (np.clip(pole + rng.uniform(-0.002, 0.002, 12), -90, 90) for _ in range(2))
    ra[0], other_dec[1] = np.nan, np.nan
    found = nearest(ra, dec, other_ra, other_dec, 3.0)
    for row in range(12):
        distance = np.nan_to_num(separation(ra[row], dec[row], other_ra, other_dec), nan=np.inf)
        assert (found[row] >= 0) == (distance.min() <= 3.0)
        assert found[row] < 0 or distance[found[row]] <= distance.min() + 1e-6


def test_nothing_to_find():
    assert nearest([], [], [1.0], [2.0], 3.0).shape == (0,)
    assert nearest([1.0], [2.0], [], [], 3.0).tolist() == [-1]
    assert groups([], [], [], 3.0).shape == (0,)


def test_groups_follow_chains_and_keys():
    step = 2 / 3600
    ra = [10.0, 10.0, 10.0, 50.0, np.nan, np.nan, 359.9999]
    dec = [0.0, step, 2 * step, 0.0, np.nan, np.nan, 0.0]
    numbers = groups(ra, dec, ["a", "b", "c", "d", "d", "e", "f"], 3.0)
    assert len({numbers[0], numbers[1], numbers[2]}) == 1 and numbers[3] == numbers[4]
    assert len(set(numbers.tolist())) == 4
    assert len(set(groups(ra, dec, list("abcdefg"), 0).tolist())) == 7
