"""What made a result: written beside every number."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

PACKAGES = ("desa", "torch", "numpy", "scipy", "scikit-learn", "astropy", "pyarrow")


def provenance(**facts: object) -> dict[str, str]:
    """Command, versions and machine, with the caller's own facts (seed, data identity) first."""
    return {
        **{name: str(value) for name, value in facts.items()},
        "command": " ".join(["desa", *sys.argv[1:]]),
        "python": platform.python_version(),
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "machine": f"{platform.system()} {platform.machine()}",
    }
