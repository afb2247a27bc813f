"""A multimodal foundation model of stars: Kepler light curves and LAMOST spectra in one embedding."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desa.anomalies.ranking import find_anomalies
    from desa.inference.model import Desa
    from desa.search.index import Index
    from desa.types import Embedding, LightCurve, Spectrum, Star

__version__ = "0.1.0"
__all__ = ["Embedding", "Index", "LightCurve", "Spectrum", "Star", "find_anomalies", "load"]

LAZY = {
    "Index": "desa.search.index",
    "find_anomalies": "desa.anomalies.ranking",
    **dict.fromkeys(("Embedding", "LightCurve", "Spectrum", "Star"), "desa.types"),
}
"""Names that are brought when they are first used, so that importing desa stays quick."""


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'desa' has no attribute {name!r}")
    return getattr(import_module(LAZY[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__", "__doc__"]


def load(name: str = "") -> Desa:
    """Load a model.

    Parameters
    ----------
    name
        A folder that training or `desa convert` wrote; or ``user/name`` (``user/name@revision``) on the
        Hugging Face Hub, which is pinned at its first use, checked at each, and kept for offline use. Left
        out: the small model that comes with desa; its ``metadata`` say what it was trained on and how well
        it does.

    Returns
    -------
    Desa
        In evaluation mode; see its ``embed`` and ``predict``.

    Raises
    ------
    desa.errors.ModelError
        If there is none or it can't be used.
    """
    from desa.inference.model import Desa
    from desa.models.hub import model_folder

    return Desa.load(model_folder(name))
