"""Which records each shadow model is trained on (IN) and not (OUT), and which it is asked about besides."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from umbrameter.errors import PlanError
from umbrameter.seeds import generator
from umbrameter.typing import Ints

Design = Literal["disjoint", "audit", "mixed"]
"""Where IN and OUT records come from: the pool, the audited records, or the one and the other by turns."""

MOST_CALIBRATION = 10_000
"""Records of the pool, at most, on which attacks on single records choose their thresholds."""


@dataclass(frozen=True)
class ShadowRows:
    """One shadow model's records, as row numbers.

    Parameters
    ----------
    rows_in, rows_out
        What it is trained on, and what else its labelled prediction vectors are of.
    compared_rows
        What else it is asked about, so that its answers can be compared with the target's.
    """

    rows_in: Ints
    rows_out: Ints
    compared_rows: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class ShadowPlan:
    """Who is IN which shadow model.

    - `disjoint`: every model draws its own IN and OUT records from the pool; none sees an audited record.
    - `audit`: models come in pairs that share the audited records among them, one half each, at random. So every
      audited record is IN exactly half of the models, as the strongest attacks need.
    - `mixed`: by turns, a pair of the one and a pair of the other.

    A model's records depend on the seed and its number alone, so that more models never change the first ones.

    Parameters
    ----------
    design
        As above.
    n_models
        Number of shadow models.
    size
        IN records of each model of the pool.
    n_out
        OUT records of each model of the pool.
    seed
        The audit's seed.
    n_calibration
        How many records of the pool, the same for all, each model of the pool is asked about besides, with the audited
        ones; None for neither.

    References
    ----------
    Shokri et al. (2017), section V-C: shadow training sets may overlap with each other, not with the target's.
    Carlini et al. (2022), arXiv 2112.03570, section V: each record in half of the training sets.
    """

    design: Design
    n_models: int
    size: int
    n_out: int
    seed: int
    n_calibration: int | None = None

    @classmethod
    def of(
        cls, design: Design, n_models: int, size: int, n_audited: int, n_pool: int, seed: int, compared: bool = False
    ) -> "ShadowPlan":
        """Return the plan: as many OUT records of the pool as IN, or as many as are left.

        Parameters
        ----------
        design, n_models, size, seed
            As of the class.
        n_audited, n_pool
            Members and non-members, and records apart from them.
        compared
            Whether an attack holds the target's answers against shadow models' answers on the same records.

        Raises
        ------
        PlanError
            When the pool is too small, or models that come in pairs are odd in number.
        """
        if design != "disjoint" and n_models % 2:
            raise PlanError(
                f"shadows.count={n_models} is odd, and with shadows.design={design} models come in pairs, one trained "
                f"on each half of the audited records; set shadows.count to {n_models + 1}"
            )
        if design == "audit":
            return cls(design, n_models, n_audited // 2, n_audited - n_audited // 2, seed)
        if n_pool < size + 1:
            raise PlanError(
                f"shadows.size={size} is more than the pool can give: {n_pool} records are left after members and "
                f"non-members, and a shadow model needs {size} IN and at least 1 OUT; lower shadows.size to at most "
                f"{n_pool // 2}, or split.members or split.nonmembers"
            )
        most = MOST_CALIBRATION if design == "disjoint" else 0  # other designs have thresholds from the audited records
        return cls(design, n_models, size, min(size, n_pool - size), seed, min(n_pool, most) if compared else None)

    @property
    def n_vectors(self) -> int:
        """Labelled prediction vectors of all models, about."""
        return self.n_models * (self.size + self.n_out)

    def on_audited(self, model_id: int) -> bool:
        """Return whether a model is trained on audited records."""
        return self.design == "audit" or (self.design == "mixed" and model_id // 2 % 2 == 0)

    def facts(self, model_id: int) -> dict[str, Any]:
        """Return what decides a model's records, apart from the seed and the records themselves."""
        if self.on_audited(model_id):
            return {"design": "audit", "model_id": model_id}
        facts = {"size": self.size, "n_out": self.n_out, "model_id": model_id}
        return facts if self.n_calibration is None else facts | {"n_calibration": self.n_calibration}

    def rows(self, audited: Ints, pool: Ints, model_id: int) -> ShadowRows:
        """Return a model's rows.

        Parameters
        ----------
        audited
            The rows of members and non-members.
        pool
            The other rows; where there are fewer than planned, as of synthetic data, models get their shares of them.
        model_id
            The model's number, from 0.
        """
        if self.on_audited(model_id):
            order = generator(self.seed, "audited-rows", model_id // 2).permutation(audited)
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            return ShadowRows(*(halves if model_id % 2 == 0 else halves[::-1]))
        order = generator(self.seed, "shadow-rows", model_id).permutation(pool)
        wanted = self.size + self.n_out
        size = self.size if len(order) >= wanted else len(order) * self.size // wanted
        own = order[:size], order[size:wanted]
        return ShadowRows(*own) if self.n_calibration is None else ShadowRows(*own, self.compared(audited, pool))

    def compared(self, audited: Ints, pool: Ints) -> Ints:
        """Return the rows on which models are compared: the audited ones, then those that thresholds are chosen on."""
        if self.n_calibration is None:
            return audited
        return np.concatenate(
            [audited, generator(self.seed, "calibration-rows").permutation(pool)[: self.n_calibration]]
        )
