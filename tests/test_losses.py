"""Every loss against a slow reference written from its equation, and its gradient against differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from desa import losses

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inner(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def slow_pinball(predicted: Tensor, target: Tensor, weight: Tensor | None) -> float:
    total = share = 0.0
    for star in range(len(target)):
        w = 1.0 if weight is None else float(weight[star])
        for label in range(target.shape[1]):
            value = float(target[star, label])
            if math.isnan(value):
                continue
            share += w
            for level, guess in zip(LEVELS, predicted[star, label].tolist(), strict=True):
                error = value - guess
                total += w * (level * error if error >= 0 else (level - 1) * error) / len(LEVELS)
    return total / share


def slow_covariance(a: Tensor, b: Tensor) -> float:
    """Off-diagonal squared covariance (n - 1) over d, entry by entry."""
    size, width = a.shape
    total = 0.0
    for i in range(width):
        for j in range(width):
            if i == j:
                continue
            mean_i, mean_j = float(a[:, i].mean()), float(b[:, j].mean())
            entry = sum((float(a[k, i]) - mean_i) * (float(b[k, j]) - mean_j) for k in range(size))
            total += (entry / (size - 1)) ** 2
    return total / width


def slow_cosine(a: Tensor, b: Tensor) -> float:
    return -sum(inner(x, y) / math.sqrt(inner(x, x) * inner(y, y)) for x, y in zip(a, b, strict=True)) / len(
        a
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_pinball_is_its_equation(weighted: bool) -> None:
    predicted, target = rows(6, 3, 5), rows(6, 3, seed=1)
    target[0, 1] = target[3, 2] = target[4] = float("nan")
    weight = rows(6, seed=2).abs() if weighted else None
    found = losses.pinball(predicted, target, LEVELS, weight)
    assert float(found) == pytest.approx(slow_pinball(predicted, target, weight))


def test_pinball_is_least_at_the_quantiles() -> None:
    sample = rows(20001, 1)
    quantiles = torch.quantile(sample[:, 0], torch.tensor(LEVELS, dtype=torch.float64))

    def at(values: Tensor) -> float:
        return float(losses.pinball(values.expand(len(sample), 1, 5), sample, LEVELS))

    best = at(quantiles)
    for k in range(5):
        for step in (-0.05, 0.05):
            moved = quantiles.clone()
            moved[k] += step
            assert at(moved) > best


def test_missing_labels_count_nothing_and_pass_no_gradient() -> None:
    predicted = rows(4, 2, 5).requires_grad_()
    target = rows(4, 2, seed=1)
    target[1, 0] = float("nan")
    losses.pinball(predicted, target, LEVELS).backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[1, 0] == 0).all()
    assert (predicted.grad[1, 1] != 0).all()


def test_no_label_at_all_is_zero() -> None:
    predicted = rows(4, 2, 5).requires_grad_()
    loss = losses.pinball(predicted, torch.full((4, 2), float("nan")), LEVELS)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert (predicted.grad == 0).all()


def test_simsiam_is_its_equation_and_stops_the_target() -> None:
    p1, z1, p2, z2 = (rows(5, 4, seed=k).requires_grad_() for k in range(4))
    loss = losses.simsiam(p1, z1, p2, z2)
    assert loss.item() == pytest.approx(0.5 * (slow_cosine(p1, z2) + slow_cosine(p2, z1)))
    loss.backward()
    assert z1.grad is None
    assert z2.grad is None
    assert p1.grad is not None


@given(scale=st.floats(0.01, 100))
def test_cosine_does_not_see_lengths(scale: float) -> None:
    a, b = rows(3, 4), rows(3, 4, seed=1)
    assert float(losses.negative_cosine(scale * a, b)) == pytest.approx(float(losses.negative_cosine(a, b)))


@pytest.mark.parametrize("weighted", [False, True])
def test_reconstruction_counts_masked_good_pixels_only(weighted: bool) -> None:
    filled, pixels = rows(3, 7), rows(3, 7, seed=1)
    masked = rows(3, 7, seed=2) > 0
    weights = (rows(3, 7, seed=3) > -0.5) * rows(3, 7, seed=4).abs() if weighted else None
    total = share = 0.0
    for i in range(3):
        for j in range(7):
            if masked[i, j]:
                w = 1.0 if weights is None else float(weights[i, j])
                share += w
                total += w * float(filled[i, j] - pixels[i, j]) ** 2
    found = losses.masked_reconstruction(filled, pixels, masked, weights)
    assert float(found) == pytest.approx(total / share)
    filled[~masked] = 99.0
    assert torch.equal(found, losses.masked_reconstruction(filled, pixels, masked, weights))


def test_hybrid_is_the_weighted_sum() -> None:
    assert float(losses.hybrid(torch.tensor(2.0), torch.tensor(6.0), 0.25)) == pytest.approx(3.0)


@pytest.mark.parametrize("cross", [False, True])
def test_covariance_is_equations_2_and_3(cross: bool) -> None:
    p1, p2 = rows(9, 4), rows(9, 4, seed=1)
    expected = slow_covariance(p1, p1) + slow_covariance(p2, p2)
    expected += slow_covariance(p1, p2) if cross else 0.0
    assert float(losses.covariance(p1, p2, cross)) == pytest.approx(expected)


def test_covariance_of_independent_dimensions_is_zero_and_means_do_not_matter() -> None:
    p = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    assert float(losses.covariance(p, p)) == 0
    a, b = rows(9, 4), rows(9, 4, seed=1)
    assert float(losses.covariance(a + 7, b - 3)) == pytest.approx(float(losses.covariance(a, b)))


def test_duality_is_equation_4() -> None:
    z1, p1, z2, p2 = (rows(5, 3, seed=k) for k in range(4))
    expected = sum((inner(z1[k], p1[k]) - inner(z2[k], p2[k])) ** 2 for k in range(5)) / 5
    assert float(losses.duality(z1, p1, z2, p2)) == pytest.approx(expected)


def test_duality_of_one_embedding_with_a_and_its_transpose_is_zero() -> None:
    z, a = rows(6, 4), rows(4, 4, seed=1)
    assert float(losses.duality(z, z @ a.T, z, z @ a)) == pytest.approx(0, abs=1e-20)


def test_alignment_losses_vanish_at_zero_projection() -> None:
    """The trivial minimum of the published losses, which the hinge sees."""
    z, zero = rows(6, 4), torch.zeros(6, 4, dtype=torch.float64)
    assert float(losses.covariance(zero, zero) + losses.duality(z, zero, z, zero)) == 0
    assert float(losses.variance_hinge(zero)) == pytest.approx(0.99)


def test_variance_hinge_is_its_equation() -> None:
    p = rows(8, 3) * torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    expected = 0.0
    for k in range(3):
        mean = float(p[:, k].mean())
        variance = sum((float(x) - mean) ** 2 for x in p[:, k]) / 7
        expected += max(0.0, 1.0 - math.sqrt(variance + 1e-4)) / 3
    assert float(losses.variance_hinge(p)) == pytest.approx(expected)


def test_info_nce_is_its_equation() -> None:
    a, b, temperature = rows(5, 4), rows(5, 4, seed=1), 0.2

    def one_way(x: Tensor, y: Tensor) -> float:
        total = 0.0
        for i in range(5):
            terms = [
                math.exp(inner(x[i], y[j]) / math.sqrt(inner(x[i], x[i]) * inner(y[j], y[j])) / temperature)
                for j in range(5)
            ]
            total -= math.log(terms[i] / sum(terms)) / 5
        return total

    found = float(losses.info_nce(a, b, temperature))
    assert found == pytest.approx(0.5 * (one_way(a, b) + one_way(b, a)))


def test_info_nce_is_smallest_for_the_right_pairs() -> None:
    a = rows(16, 8)
    right = losses.info_nce(a, a + 0.01 * rows(16, 8, seed=1), 0.1)
    assert float(right) < 0.1 < float(losses.info_nce(a, a.roll(1, 0), 0.1))


def test_vicreg_is_its_equation() -> None:
    a, b = rows(7, 3), rows(7, 3, seed=1)
    mean_square = float(((a - b) ** 2).mean())
    hinge = 0.5 * float(losses.variance_hinge(a) + losses.variance_hinge(b))
    cov = slow_covariance(a, a) + slow_covariance(b, b)
    assert float(losses.vicreg(a, b)) == pytest.approx(25 * mean_square + 25 * hinge + 0.1 * cov)


def test_gradients_agree_with_differences() -> None:
    def leaf(*shape: int, seed: int) -> Tensor:
        return rows(*shape, seed=seed).requires_grad_()

    a, b = leaf(5, 3, seed=0), leaf(5, 3, seed=1)
    target, weight = rows(4, 2, seed=3), rows(4, seed=4).abs()
    target[1, 1] = float("nan")
    masked = rows(5, 3, seed=5) > -0.5
    frozen = rows(5, 3, seed=6)
    cases = [
        (lambda p: losses.pinball(p, target, LEVELS, weight), (leaf(4, 2, 5, seed=2),)),
        (lambda p: losses.negative_cosine(p, frozen), (a,)),
        (lambda p: losses.masked_reconstruction(p, frozen, masked, frozen.abs()), (a,)),
        (losses.covariance, (a, b)),
        (losses.duality, (a, b, leaf(5, 3, seed=7), leaf(5, 3, seed=8))),
        (lambda p: losses.variance_hinge(0.3 * p), (a,)),
        (lambda p, q: losses.info_nce(p, q, 0.3), (a, b)),
        (losses.vicreg, (a, b)),
        (lambda p: losses.queue_nce(p, frozen, frozen[:2], 0.3), (a,)),
        (lambda p, q: losses.hybrid(p.sum(), q.prod(), 0.3), (a, b)),
    ]
    for function, inputs in cases:
        assert torch.autograd.gradcheck(function, inputs)


def test_queue_nce_is_its_equation() -> None:
    query, key, queue, temperature = rows(5, 4), rows(5, 4, seed=1), rows(7, 4, seed=2), 0.2

    def cosine(x: Tensor, y: Tensor) -> float:
        return inner(x, y) / math.sqrt(inner(x, x) * inner(y, y))

    total = 0.0
    for star in range(5):
        own = math.exp(cosine(query[star], key[star]) / temperature)
        others = sum(math.exp(cosine(query[star], old) / temperature) for old in queue)
        total -= math.log(own / (own + others)) / 5
    assert float(losses.queue_nce(query, key, queue, temperature)) == pytest.approx(total)


def test_losses_agree_with_lightly() -> None:
    """What lightly 1.6.0 gives for the same numbers (VICRegLoss, NegativeCosineSimilarity, NTXentLoss).

    lightly itself is no development dependency: the torchvision it needs does not fit the pinned CPU torch.
    """
    a, b = rows(16, 8), rows(16, 8, seed=1)
    assert float(losses.vicreg(a, b)) == pytest.approx(55.78814266707474)
    found = losses.simsiam(rows(16, 8), rows(16, 8, seed=1), rows(16, 8, seed=2), rows(16, 8, seed=3))
    assert float(found) == pytest.approx(0.05465238031220375)
    queued = losses.queue_nce(a, b, rows(12, 8, seed=2), 0.1)
    assert float(queued) == pytest.approx(4.702207565307617, rel=1e-6)
