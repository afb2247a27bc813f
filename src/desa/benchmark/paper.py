"""What the paper reports, and in one line what differs here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number of the paper beside the key of ours.

    Parameters
    ----------
    task, label, metric, model
        Where ours is.
    value
        As the paper has it, in `unit`.
    where
        Table or figure.
    differs
        What is not the same.
    unit
        Of both.
    part
        Subset of the stars.
    """

    task: str
    label: str
    metric: str
    model: str
    value: float
    where: str
    differs: str
    unit: str = ""
    part: str = ""


LAMOST = "paper: 6.5 million LAMOST spectra, 523 M parameters, labels of APOGEE; here the survey's own labels"
ROTATION = "paper: 720 d crops of 200 000 Kepler stars"
CMD = (
    "paper: prior with labels, 'accuracy' of cluster numbers; here matched by the Hungarian method, no prior"
)
FEW = "paper: dereddened colours, prior with Teff, R and [Fe/H] in the features; here no prior"
BINARY = "paper: Godoy-Rivera classes with RUWE in the prior; here every kind of companion seen, no prior"
AGE = "paper: gyrochronal ages of real stars, prior with Prot in the features; here no prior"

PAPER: tuple[Published, ...] = (
    Published("parameters", "teff", "mae", "only_spectrum", 91.56, "Table 1", LAMOST, "K"),
    Published("parameters", "log_g", "mae", "only_spectrum", 0.168, "Table 1", LAMOST, "dex"),
    Published("parameters", "fe_h", "mae", "only_spectrum", 0.069, "Table 1", LAMOST, "dex"),
    Published("rotation", "encoder", "rmse", "only_lightcurve", 2.61, "Sect. 4", ROTATION, "d"),
    *(
        Published("cmd_classes", "umap+gmm", "accuracy", model, value, "Table 2", CMD)
        for model, value in (
            ("desa", 0.40),
            ("moco", 0.18),
            ("moco_clean", 0.11),
            ("simsiam", 0.15),
            ("vicreg", 0.25),
        )
    ),
    Published("few_shot", "bp_rp", "r2", "desa", 0.920, "Table 2", FEW, part="20 %"),
    Published("few_shot", "bp_rp", "within_10", "desa", 0.677, "Table 2", FEW, part="20 %"),
    Published("few_shot", "m_g", "within_10", "desa", 0.711, "Table 2", FEW, part="20 %"),
    Published("binaries", "binary", "auc", "desa", 0.96, "Fig. 2", BINARY),
    Published("binaries", "binary", "accuracy", "desa", 0.96, "Fig. 2", BINARY),
    Published("binaries", "binary", "f1", "desa", 0.96, "Fig. 2", BINARY),
    *(
        Published("ages", "age", metric, model, value, "Table 3", AGE, "Gyr")
        for model, values in (
            ("desa", (0.61, 0.94)),
            ("moco", (0.81, 1.28)),
            ("moco_clean", (0.78, 1.23)),
            ("simsiam", (1.24, 1.81)),
            ("vicreg", (0.78, 1.23)),
            ("only_spectrum", (1.30, 1.70)),
            ("only_lightcurve", (0.80, 1.25)),
        )
        for metric, value in zip(("mae", "rmse"), values, strict=True)
    ),
)

PAPER_KWH = 334.0
"""Energy of all the paper's training, 204 kWh of it pre-training."""
