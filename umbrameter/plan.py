"""Which records each shadow model is trained on (IN) and not (OUT)."""

from dataclasses import dataclass

from umbrameter.errors import PlanError
from umbrameter.seeds import generator
from umbrameter.typing import Ints


@dataclass(frozen=True)
class ShadowPlan:
    """The disjoint design: every shadow model draws its own IN and OUT records from the pool.

    A model's records depend on the seed and its number alone, so that more models never change the first ones.

    Parameters
    ----------
    n_models
        Number of shadow models.
    size
        IN records of each model.
    n_out
        OUT records of each model.
    seed
        The audit's seed.

    References
    ----------
    Shokri et al. (2017), section V-C: shadow training sets may overlap with each other, not with the target's.
    """

    n_models: int
    size: int
    n_out: int
    seed: int

    @classmethod
    def of(cls, n_models: int, size: int, n_pool: int, seed: int) -> "ShadowPlan":
        """Return the plan for a pool of `n_pool` records: as many OUT records as IN, or as many as are left.

        Raises
        ------
        PlanError
            When the pool is too small.
        """
        if n_pool < size + 1:
            raise PlanError(
                f"shadows.size={size} is more than the pool can give: {n_pool} records are left after members and "
                f"non-members, and a shadow model needs {size} IN and at least 1 OUT; lower shadows.size to at most "
                f"{n_pool // 2}, or split.members or split.nonmembers"
            )
        return cls(n_models, size, min(size, n_pool - size), seed)

    def rows(self, pool: Ints, model_id: int) -> tuple[Ints, Ints]:
        """Return the IN rows and the OUT rows of one model, drawn from `pool` without replacement."""
        order = generator(self.seed, "shadow-rows", model_id).permutation(pool)
        return order[: self.size], order[self.size : self.size + self.n_out]
