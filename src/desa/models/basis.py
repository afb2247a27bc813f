"""The basis that the joint embedding is turned into (eq. 6), from A, which is not symmetric."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def eigenvectors(matrix: Matrix) -> Matrix:
    """Real parts of the eigenvectors, as published: not a basis where eigenvalues are complex."""
    return np.asarray(np.real(np.linalg.eig(matrix)[1]), dtype=np.float64)


def schur_vectors(matrix: Matrix) -> Matrix:
    """Real Schur vectors, ordered by the size of their eigenvalues, largest first.

    They are orthonormal and real, and the leading ones span the invariant subspaces of the largest
    eigenvalues; a complex pair shares two vectors.

    Parameters
    ----------
    matrix
        (d, d) real.

    Returns
    -------
    numpy.ndarray
        (d, d), a vector a column.
    """
    triangle, basis = scipy.linalg.schur(matrix, output="real")
    size = len(triangle)
    place = 0
    while place < size:
        starts, moduli = _blocks(triangle, place)
        best = int(starts[np.argmax(moduli)])
        if best != place:
            triangle, basis, _ = scipy.linalg.lapack.dtrexc(triangle, basis, best + 1, place + 1)
        place += 2 if place + 1 < size and triangle[place + 1, place] != 0 else 1
    return np.asarray(basis, dtype=np.float64)


def _blocks(triangle: Matrix, first: int) -> tuple[NDArray[np.int64], Matrix]:
    """Starts of the diagonal blocks from `first` on, and the moduli of their eigenvalues."""
    starts, moduli = [], []
    place = first
    while place < len(triangle):
        pair = place + 1 < len(triangle) and triangle[place + 1, place] != 0
        block = triangle[place : place + 2, place : place + 2]
        starts.append(place)
        moduli.append(np.sqrt(abs(np.linalg.det(block))) if pair else abs(triangle[place, place]))
        place += 2 if pair else 1
    return np.array(starts), np.array(moduli)
