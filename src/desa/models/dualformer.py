"""The DualFormer: two modalities that attend to themselves and to each other, and the projection A."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import DualFormerModel
from desa.models.basis import eigenvectors, schur_vectors
from desa.models.kernels import IN_CACHE, attention
from desa.models.layers import Rotary, full, join_heads, like, split_heads


@dataclass(frozen=True)
class DualFormerOutput:
    """Pooled outputs z and their projections p = A z (spectrum) and A^T z (light curve), (B, d) each."""

    z_spectrum: Tensor
    z_lightcurve: Tensor
    p_spectrum: Tensor
    p_lightcurve: Tensor


class DualAttention(nn.Module):
    """``out_m = W_m [Attention(q_m, k_n, v_n) + Attention(q_m, k_m, v_m)]``: two softmaxes, summed.

    Parameters
    ----------
    width, heads
        Of the tokens.
    attention
        ``"both"``, ``"cross"`` (first term only) or ``"self"`` (second term only).
    dropout
        Of the attention weights, in training.
    """

    def __init__(self, width: int, heads: int, attention: str, dropout: float) -> None:
        super().__init__()
        self.heads, self.attention, self.dropout = heads, attention, dropout
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width)]))
        self.rotary = Rotary(width // heads)

    def _projections(self, x: Tensor, modality: int) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (
            split_heads(cast(nn.ModuleList, part)[modality](x), self.heads)
            for part in (self.query, self.key, self.value)
        )
        return self.rotary(query), self.rotary(key), value

    def forward(self, spectrum: Tensor, lightcurve: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L1, D), (B, L2, D) -> the same shapes."""
        tokens = (self._projections(spectrum, 0), self._projections(lightcurve, 1))
        dropout = self.dropout if self.training else 0.0
        results = []
        for own in (0, 1):
            query = tokens[own][0]
            sources = {"both": (1 - own, own), "cross": (1 - own,), "self": (own,)}[self.attention]
            terms = [attention(query, tokens[source][1], tokens[source][2], dropout) for source in sources]
            mixed = terms[0] if len(terms) == 1 else terms[0] + terms[1]
            results.append(cast(nn.ModuleList, self.output)[own](join_heads(mixed)))
        return results[0], results[1]


class DualFeedForward(nn.Sequential):
    """linear, GELU, layer norm, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, width))


class DualBlock(nn.Module):
    """Pre-norm dual attention and feed-forward; each modality has its own weights."""

    def __init__(self, settings: DualFormerModel) -> None:
        super().__init__()
        width = settings.width
        self.attention = DualAttention(width, settings.heads, settings.attention, settings.attention_dropout)
        self.attention_norm = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.feed_forward_norm = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.feed_forward = nn.ModuleList(DualFeedForward(width, settings.feed_forward) for _ in range(2))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, spectrum: Tensor, lightcurve: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L1, D), (B, L2, D) -> the same shapes."""
        mixed = self.attention(self.attention_norm[0](spectrum), self.attention_norm[1](lightcurve))
        spectrum, lightcurve = spectrum + self.dropout(mixed[0]), lightcurve + self.dropout(mixed[1])
        spectrum = spectrum + self.dropout(self.feed_forward[0](self.feed_forward_norm[0](spectrum)))
        lightcurve = lightcurve + self.dropout(self.feed_forward[1](self.feed_forward_norm[1](lightcurve)))
        return spectrum, lightcurve


class ScalarTokens(nn.Module):
    """Published: every feature is a scalar token through one shared linear 1 -> D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, F, D)."""
        return cast(Tensor, self.linear(features[..., None]))


class FeatureTokens(nn.Module):
    """Every feature is a token with its own direction and offset (FT-Transformer, Gorishniy et al. 2021)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, width) * width**-0.5)
        self.bias = nn.Parameter(torch.randn(features, width) * width**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, F, D)."""
        return features[..., None] * self.weight + self.bias


class GroupTokens(nn.Module):
    """A few tokens, each a linear map of all features: nothing is lost where tokens x D >= F."""

    def __init__(self, features: int, width: int, tokens: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, tokens * width)
        self.tokens = tokens

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, tokens, D)."""
        return cast(Tensor, self.linear(features).unflatten(-1, (self.tokens, -1)))


class MeanPooling(nn.Module):
    """Mean over tokens, with a linear map where z has another width than the tokens."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.output = nn.Identity() if outputs == width else nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, outputs)."""
        return cast(Tensor, self.output(tokens.mean(1)))


class QueryPooling(nn.Module):
    """A few learned queries attend to the tokens; their answers side by side go through a linear map."""

    def __init__(self, width: int, outputs: int, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width) * width**-0.5)
        self.output = nn.Linear(queries * width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, outputs)."""
        queries = self.queries.expand(len(tokens), -1, -1)
        answers = F.scaled_dot_product_attention(queries, tokens, tokens)
        return cast(Tensor, self.output(answers.flatten(1)))


class DualFormer(nn.Module):
    """Features of both encoders to a joint embedding.

    The published tokeniser tells 2304 scalars apart by rotary position alone and averages the tokens: a
    bottleneck in which little of what the features know survives. Where ``settings.skip`` is set (in every
    preset but `published`), z is the pooled output plus a linear map of the standardised features, an
    isometry at first; z is made as wide as the wider modality's features, and ``joint = "concat"`` puts both
    side by side. So the joint embedding starts from what the features side by side hold, and attention adds
    what needs both modalities: a linear probe of it is never much below one of the features. A sum z_1 + z_2
    of that width can't promise it: it has half the room.

    Parameters
    ----------
    settings
        Sizes and choices; the defaults of `desa.config.DualFormerModel` are the published ones.
    spectrum_features, lightcurve_features
        Widths of the encoders' features.
    """

    mean_spectrum: Tensor
    scale_spectrum: Tensor
    mean_lightcurve: Tensor
    scale_lightcurve: Tensor

    def __init__(self, settings: DualFormerModel, spectrum_features: int, lightcurve_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.spectrum_features, self.lightcurve_features = spectrum_features, lightcurve_features
        width, counts = settings.width, (spectrum_features, lightcurve_features)
        if settings.tokens == "published":
            shared = ScalarTokens(width)
            self.tokens = nn.ModuleList([shared, shared])
        elif settings.tokens == "per_feature":
            self.tokens = nn.ModuleList(FeatureTokens(count, width) for count in counts)
        else:
            self.tokens = nn.ModuleList(GroupTokens(count, width, settings.groups) for count in counts)
        self.blocks = nn.ModuleList(DualBlock(settings) for _ in range(settings.blocks))
        self.norm = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        outputs = max(width, *counts) if settings.skip else width
        self.pool = nn.ModuleList(
            QueryPooling(width, outputs, settings.queries)
            if settings.pooling == "queries"
            else MeanPooling(width, outputs)
            for _ in counts
        )
        if settings.skip:
            self.skip = nn.ModuleList(nn.Linear(count, outputs) for count in counts)
            for layer in self.skip:
                nn.init.orthogonal_(cast(Tensor, layer.weight))
        self.size = outputs + settings.prior_size
        self.projection = nn.Linear(self.size, self.size, bias=False)
        self._basis: tuple[int, Tensor] | None = None
        for name, count in zip(("spectrum", "lightcurve"), counts, strict=True):
            if settings.standardise:
                self.register_buffer(f"mean_{name}", torch.zeros(count))
                self.register_buffer(f"scale_{name}", torch.ones(count))

    @property
    def joint_size(self) -> int:
        """Width of the joint embedding."""
        return 2 * self.size if self.settings.joint == "concat" else self.size

    def set_standardisation(
        self, mean_spectrum: Tensor, scale_spectrum: Tensor, mean_lightcurve: Tensor, scale_lightcurve: Tensor
    ) -> None:
        """Set the means and deviations (of training stars) that the features are standardised by."""
        self.mean_spectrum.copy_(mean_spectrum)
        self.scale_spectrum.copy_(scale_spectrum)
        self.mean_lightcurve.copy_(mean_lightcurve)
        self.scale_lightcurve.copy_(scale_lightcurve)

    def standardised(self, z_spectrum: Tensor, z_lightcurve: Tensor) -> tuple[Tensor, Tensor]:
        """Features as the tokeniser reads them."""
        if not self.settings.standardise:
            return z_spectrum, z_lightcurve
        return (
            (z_spectrum - self.mean_spectrum) / self.scale_spectrum,
            (z_lightcurve - self.mean_lightcurve) / self.scale_lightcurve,
        )

    def _rows(self, spectrum: Tensor, lightcurve: Tensor) -> int:
        """Stars at once: on a CPU so few that what lies between two operations stays in its cache."""
        if spectrum.device.type != "cpu" or torch.compiler.is_compiling():
            return max(1, len(spectrum))
        tokens = 2 * self.settings.groups
        if self.settings.tokens != "groups":
            tokens = spectrum.shape[1] + lightcurve.shape[1]
        return max(1, 4 * IN_CACHE // (tokens * self.settings.feed_forward))

    def _pair(self, f_spectrum: Tensor, f_lightcurve: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features to both pooled outputs, (B, d) each."""
        spectrum, lightcurve = self.tokens[0](f_spectrum), self.tokens[1](f_lightcurve)
        for block in self.blocks:
            spectrum, lightcurve = block(spectrum, lightcurve)
        return self._pooled(spectrum, f_spectrum, 0), self._pooled(lightcurve, f_lightcurve, 1)

    def _pooled(self, tokens: Tensor, features: Tensor, modality: int) -> Tensor:
        pooled = self.pool[modality](self.norm[modality](tokens))
        return cast(Tensor, pooled + self.skip[modality](features) if self.settings.skip else pooled)

    def _with_prior(self, pooled: Tensor, prior: Tensor | None) -> Tensor:
        size = self.settings.prior_size
        if size == 0:
            return pooled
        if prior is None:
            prior = pooled.new_full((len(pooled), size), float("nan"))
        return torch.cat([pooled, torch.nan_to_num(prior.to(pooled.dtype), nan=-1.0)], dim=1)

    def forward(
        self, z_spectrum: Tensor, z_lightcurve: Tensor, prior: Tensor | None = None
    ) -> DualFormerOutput:
        """Align.

        Parameters
        ----------
        z_spectrum, z_lightcurve
            (B, F1), (B, F2) features of the encoders.
        prior
            (B, prior_size) numbers; NaN or None count as missing (-1, as published).

        Returns
        -------
        DualFormerOutput
            (B, d) each; d is the width (that of the wider features where `skip` is set) plus the prior's.
        """
        features = [like(part, self.projection) for part in self.standardised(z_spectrum, z_lightcurve)]
        rows = self._rows(*features)
        parts = [self._pair(*part) for part in zip(*(torch.split(x, rows) for x in features), strict=True)]
        z_1, z_2 = (self._with_prior(torch.cat(part), prior) for part in zip(*parts, strict=True))
        transposed = self.projection.weight.T if self.settings.transpose else self.projection.weight
        projected = self.projection(z_1), F.linear(z_2, transposed)
        return DualFormerOutput(*(full(part) for part in (z_1, z_2, *projected)))

    @property
    def embeds_alone(self) -> bool:
        """Whether `alone` can be asked: the mean star is known, and no prior is part of p."""
        return self.settings.standardise and self.settings.prior_size == 0

    def alone(self, features: Tensor, modality: int) -> Tensor:
        """Projection of one modality, the other set to its training mean.

        Parameters
        ----------
        features
            (B, F) features of the encoder.
        modality
            0 for spectra, 1 for light curves.

        Returns
        -------
        torch.Tensor
            (B, d), to be compared with those of the other modality by cosine.
        """
        mean = (self.mean_lightcurve, self.mean_spectrum)[modality].expand(len(features), -1)
        output = self.forward(mean, features) if modality else self.forward(features, mean)
        return output.p_lightcurve if modality else output.p_spectrum

    def reduce(self, dtype: torch.dtype) -> None:
        """Change the dtype of all weights; constants of the standardisation stay."""
        constants = dict(self.named_buffers(recurse=False))
        self.to(dtype)
        for name, values in constants.items():
            setattr(self, name, values)

    def heavy(self) -> list[nn.Module]:
        """What is worth compiling."""
        return list(self.blocks)

    def joint(self, output: DualFormerOutput) -> Tensor:
        """Joint embedding f of both modalities (eq. 6): (z_1 + z_2)^T V, or what the settings say.

        ``"schur"``: V holds the real Schur vectors of A, ordered by the size of their eigenvalues, largest
        first; ``"published"``: the real parts of the eigenvectors; ``"sum"``: z_1 + z_2; ``"concat"``: both
        side by side.
        """
        if self.settings.joint == "concat":
            return torch.cat([output.z_spectrum, output.z_lightcurve], dim=1)
        total = output.z_spectrum + output.z_lightcurve
        if self.settings.joint == "sum":
            return total
        return total @ self._vectors().to(total)

    def _vectors(self) -> Tensor:
        """V of eq. 6; computed once for given weights."""
        weight = self.projection.weight
        version = 0 if weight.is_inference() else weight._version
        if self._basis is None or self._basis[0] != version:
            matrix = self.projection.weight.detach().double().cpu().numpy()
            vectors = eigenvectors(matrix) if self.settings.joint == "published" else schur_vectors(matrix)
            self._basis = (version, torch.from_numpy(vectors))
        return self._basis[1]
