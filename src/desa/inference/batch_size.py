"""How many stars at once: as many as the device's memory takes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from desa.models.network import Network

ON_CPU = 32
"""A CPU's cache is smaller than any batch: more stars at once gain nothing there."""

MOST = 4096


def automatic_batch_size(model: Network) -> int:
    """Stars at once for embedding with a model where it is.

    On a GPU batches are doubled until one no longer fits; half of the largest that did leaves room for
    what else lives there.
    """
    if model.device.type == "cpu":
        return ON_CPU
    return max(1, largest(lambda size: _run(model, size), ON_CPU) // 2)


def largest(run: Callable[[int], None], first: int, most: int = MOST) -> int:
    """The largest of `first` times powers of two for which `run` does not run out of memory.

    Raises
    ------
    torch.OutOfMemoryError
        If not even one star fits.
    """

    def fits(size: int) -> bool:
        try:
            run(size)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return False
        return True

    size = first
    if fits(size):
        while 2 * size <= most and fits(2 * size):
            size *= 2
        return size
    while size > 1:
        size //= 2
        if fits(size):
            return size
    run(1)  # which says what is wrong
    return 1


@torch.inference_mode()
def _run(model: Network, size: int) -> None:
    """Features of a batch of made-up stars."""
    if model.lightcurve_encoder is not None:
        flux = torch.ones(size, model.settings.preprocess_lightcurve.length, device=model.device)
        model.lightcurve_features(flux, torch.ones(size, device=model.device))
    if model.spectrum_encoder is not None:
        grid = model.settings.preprocess_spectrum.grid
        flux = torch.ones(size, grid.size, device=model.device)
        start = torch.full((size,), grid.start, dtype=torch.float64, device=model.device)
        model.spectrum_features(flux, flux, torch.zeros(size, device=model.device), start)
