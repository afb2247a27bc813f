"""Fine-tuned heads in a model's folder: ``heads/NAME.PARTS.safetensors``, weights and facts in one file.

A label may have several, for stars with both modalities and for stars with one; a star is told by the one
that reads most of what it has. A head belongs to the weights it was trained on, and is refused with others.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from desa.config import Level
from desa.documents import Document, Facts, Hash
from desa.errors import ModelError, SettingsError
from desa.files import written_whole
from desa.models.finetuned import FineTuned, FineTuning, SideBySide
from desa.models.heads import new_head
from desa.models.storage import Calibration, check_header, stored_facts
from desa.types import Part

FORMAT = 1
FOLDER = "heads"
VARIANTS: dict[str, tuple[Part, ...]] = {
    "joint": ("spectrum", "lightcurve"),
    "spectrum": ("spectrum",),
    "lightcurve": ("lightcurve",),
}
"""What a head may read, the most first."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")


class ClassCalibration(Document):
    """Calibration of a head of classes."""

    temperature: Annotated[float, Field(gt=0, le=1e6)]
    coverages: Annotated[list[Level], Field(min_length=1, max_length=99)]
    thresholds: list[Annotated[float, Field(allow_inf_nan=False)] | None]


class NoCalibration(Document):
    """Of a head that had no stars for it."""

    model_config = ConfigDict(extra="forbid")


class HeadFacts(Document):
    """What a head's file says of itself; the fields are those of `UserHead`."""

    format: Literal[1]
    label: Annotated[str, Field(pattern=f"^{_NAME.pattern}$")]
    variant: Literal["joint", "spectrum", "lightcurve"]
    logarithm: bool
    kind: Literal["linear", "perceptron", "transformer"]
    settings: FineTuning
    calibration: NoCalibration | ClassCalibration | Calibration
    facts: Facts
    weights: Hash

    @model_validator(mode="after")
    def _calibration_fits(self) -> Self:
        found, classes = self.calibration, self.settings.classes
        if isinstance(found, ClassCalibration) and not (
            classes and len(found.thresholds) == len(found.coverages)
        ):
            raise ValueError("its calibration is of something else than its classes")
        if isinstance(found, Calibration) and (classes or len(found.counts) != 1):
            raise ValueError("its calibration is of something else than its one label")
        return self


@dataclass(frozen=True, eq=False)
class UserHead:
    """A fine-tuned head.

    Parameters
    ----------
    label
        What it predicts, as shown; the logarithm of it if so.
    variant
        Which of `VARIANTS` it reads.
    logarithm
        Whether it predicts log10 of the label.
    kind
        ``"linear"``, ``"perceptron"`` or ``"transformer"``.
    tuned
        The head with its aligner and calibration.
    facts
        ``data`` (what it was trained on), ``counts`` of stars, ``scores`` on test stars.
    """

    label: str
    variant: str
    logarithm: bool
    kind: str
    tuned: FineTuned
    facts: dict[str, Any]

    @property
    def calibrated_on(self) -> str:
        """The stars of the calibration in words; empty without one."""
        calibration = self.tuned.calibration
        if not calibration:
            return ""
        counts = calibration.get("counts", 0)
        count = counts[0] if isinstance(counts, list) else counts
        how = calibration.get("stars", "kept apart")
        return f"{count} stars of the {self.facts.get('data', 'survey')} ({how})"


class JointEmbedding(nn.Module):
    """A DualFormer as `FineTuned`'s aligner: features of both modalities to the joint embedding."""

    def __init__(self, dualformer: nn.Module) -> None:
        super().__init__()
        self.dualformer = dualformer

    def forward(
        self, spectrum: Tensor | None, lightcurve: Tensor | None, prior: Tensor | None = None
    ) -> Tensor:
        """(B, F1), (B, F2), (B, k) -> (B, D)."""
        joint: Tensor = self.dualformer.joint(self.dualformer(spectrum, lightcurve, prior))  # type: ignore[operator]
        return joint


def aligner_of(dualformer: nn.Module | None, variant: str) -> nn.Module:
    """What makes a head's input from the encoders' features."""
    if variant == "joint" and dualformer is not None:
        return JointEmbedding(dualformer)
    return SideBySide()


def check_name(label: str) -> str:
    """The label, if it can be a file's and a column's name.

    Raises
    ------
    SettingsError
        If it can't.
    """
    if not _NAME.fullmatch(label):
        raise SettingsError(
            f"'{label}' can't be a label's name: letters, digits and _ only, 48 at most; use --name"
        )
    return label


def write_head(folder: str | Path, head: UserHead, weights: str) -> Path:
    """Write a head into a model's folder, whole.

    Parameters
    ----------
    folder
        The model's.
    head
        The head.
    weights
        Hash of the model's weights file (what `Desa.save` returns).
    """
    path = Path(folder) / FOLDER / f"{check_name(head.label)}.{head.variant}.safetensors"
    state = head.tuned.state_dict()
    if not head.tuned.settings.unfreeze:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("aligner.")}
    facts = {
        "format": FORMAT,
        "label": head.label,
        "variant": head.variant,
        "logarithm": head.logarithm,
        "kind": head.kind,
        "settings": asdict(head.tuned.settings),
        "calibration": head.tuned.calibration,
        "facts": head.facts,
        "weights": weights,
    }
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with written_whole(path) as scratch:
        save_file(tensors, scratch, metadata={"desa": json.dumps(facts, allow_nan=False)})
        scratch.chmod(0o644)
    return path


def read_heads(folder: str | Path, dualformer: nn.Module | None, weights: str) -> list[UserHead]:
    """The heads in a model's folder, those that read most first, on the CPU.

    Parameters
    ----------
    folder
        The model's.
    dualformer
        The model's, None if it has none.
    weights
        Hash of the model's weights file.

    Raises
    ------
    ModelError
        If one is damaged or was trained on other weights.
    """
    found = [
        _read(path, dualformer, weights) for path in sorted((Path(folder) / FOLDER).glob("*.safetensors"))
    ]
    return sorted(found, key=lambda head: (head.label, list(VARIANTS).index(head.variant)))


def _read(path: Path, dualformer: nn.Module | None, weights: str) -> UserHead:
    try:
        check_header(path)
        with safe_open(path, framework="pt") as stored:
            facts = stored_facts(stored.metadata(), HeadFacts)
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if facts.weights != weights:
            raise ModelError(f"{path}: a head of another model's weights; remove it, or fine-tune again")
        tuned = _rebuilt(dualformer, facts, state)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: damaged ({str(error)[:200]})") from None
    return UserHead(facts.label, facts.variant, facts.logarithm, facts.kind, tuned, dict(facts.facts))


def _rebuilt(dualformer: nn.Module | None, facts: HeadFacts, state: Mapping[str, Tensor]) -> FineTuned:
    settings, size = facts.settings, len(state["centre"])
    aligner = aligner_of(dualformer, facts.variant)
    if settings.unfreeze:
        aligner = copy.deepcopy(aligner)
    tuned = FineTuned(settings, aligner, new_head(facts.kind, size, settings), size)
    own = (
        state
        if settings.unfreeze
        else {f"aligner.{k}": v for k, v in aligner.state_dict().items()} | dict(state)
    )
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ValueError("it holds numbers that are not finite")
    tuned.load_state_dict(dict(own))
    tuned.calibration = facts.calibration.model_dump()
    return tuned.eval()
