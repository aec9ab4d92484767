"""Which records each shadow model is trained on (IN) and not (OUT), and which others it is asked about."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from umbrameter.errors import PlanError
from umbrameter.seeds import generator
from umbrameter.typing import Ints

Design = Literal["disjoint", "audit", "mixed"]
"""Where IN and OUT records come from: the pool, the audited records, or both by turns."""

MOST_CALIBRATION = 10_000
"""Records of the pool, at most, on which attacks that compare answers record by record choose thresholds."""


@dataclass(frozen=True)
class ShadowRows:
    """One shadow model's records, as row numbers.

    Parameters
    ----------
    rows_in, rows_out
        Records that it is trained on, and others: its labelled prediction vectors are those of both.
    compared_rows
        Further records that it is asked about, to compare its answers with the target's.
    """

    rows_in: Ints
    rows_out: Ints
    compared_rows: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class ShadowPlan:
    """Which records are IN and OUT of which shadow model.

    - `disjoint`: every model draws its own IN and OUT records from the pool; none sees an audited record.
    - `audit`: models come in pairs that share the audited records among them, a random half each. Every audited record
      is therefore IN exactly half of the models, as the strongest attacks need.
    - `mixed`: a pair as in `audit` and a pair as in `disjoint` take turns.

    A model's records depend on the seed and its number alone, so that adding models never changes the first ones.

    Parameters
    ----------
    design
        As above.
    n_models
        Number of shadow models.
    size
        Number of IN records of each model that draws from the pool.
    n_out
        Number of OUT records of each model that draws from the pool.
    seed
        The audit's seed.
    n_calibration
        Number of records of the pool, the same for all models, that each model that draws from the pool is also asked
        about, together with the audited records; None: no model is asked about either, since all are trained on
        audited records.

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
        """Return the plan with as many OUT as IN records per model, or as many as the pool has left.

        Parameters
        ----------
        design, n_models, size, seed
            See the class.
        n_audited, n_pool
            Number of members and non-members together, and of records in the pool.
        compared
            Whether an attack compares the target's answers with shadow models' answers on the same records, and
            chooses thresholds on records of the pool.

        Raises
        ------
        PlanError
            When the pool is too small, or the number of models is odd although they come in pairs.
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
        return cls(design, n_models, size, min(size, n_pool - size), seed, min(n_pool, most) if compared else 0)

    @property
    def n_vectors(self) -> int:
        """Approximate number of labelled prediction vectors of all models."""
        return self.n_models * (self.size + self.n_out)

    def on_audited(self, model_id: int) -> bool:
        """Return whether a model is trained on audited records."""
        return self.design == "audit" or (self.design == "mixed" and model_id // 2 % 2 == 0)

    def facts(self, model_id: int) -> dict[str, Any]:
        """Return what determines a model's records, apart from the seed and the audited and pool records."""
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
            The other rows. If there are fewer than planned, as with drawn shadow data, IN and OUT keep their ratio.
        model_id
            The model's number, from 0.
        """
        if self.on_audited(model_id):
            # the two models of a pair share one permutation, and take a half each
            order = generator(self.seed, "audited-rows", model_id // 2).permutation(audited)
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            return ShadowRows(*(halves if model_id % 2 == 0 else halves[::-1]))
        order = generator(self.seed, "shadow-rows", model_id).permutation(pool)
        planned = self.size + self.n_out
        size = self.size if len(order) >= planned else len(order) * self.size // planned
        drawn = order[:size], order[size:planned]
        return ShadowRows(*drawn) if self.n_calibration is None else ShadowRows(*drawn, self.compared(audited, pool))

    def compared(self, audited: Ints, pool: Ints) -> Ints:
        """Return the rows on which models are compared: the audited ones, then the pool's for choosing thresholds."""
        if self.n_calibration is None:
            return audited
        return np.concatenate(
            [audited, generator(self.seed, "calibration-rows").permutation(pool)[: self.n_calibration]]
        )
