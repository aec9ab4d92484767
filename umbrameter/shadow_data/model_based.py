"""Records made by asking the target: an attacker who has none, and climbs to what the target is sure of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from umbrameter.seeds import integers
from umbrameter.shadow_data.base import Drawing, ShadowData
from umbrameter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class Synthesised:
    """What searches ended with.

    Parameters
    ----------
    records, labels
        Those that were found, in the order of the searches, shapes (n_found, n_features) and (n_found,).
    classes, is_found, queries
        Of every search, shape (n_searches,).
    """

    records: Floats
    labels: Ints
    classes: Ints
    is_found: Bools
    queries: Ints


class ModelBased(ShadowData):
    """Records found by a search for what the target is sure of, the same number of searches a class.

    A search begins with a record at random, and changes some features at random again and again; a change is kept
    where the target is at least as sure of the class. Some classes cannot be reached so, which the report says.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, section V-C and algorithm 1.
    """

    kind: Literal["model_based"] = Field("model_based", description="Found by asking the target (Shokri 2017, alg. 1).")
    iter_max: int = Field(1000, ge=1, description="Queries of one search, at most.")
    conf_min: float = Field(0.2, ge=0, lt=1, description="A record is kept only where the confidence is above it.")
    rej_max: int = Field(10, ge=0, description="Proposals turned down in a row until fewer features are changed.")
    k_max: int = Field(128, ge=1, description="Features changed for a proposal, at first.")
    k_min: int = Field(4, ge=1, description="Features changed for a proposal, at last.")
    side_by_side: int = Field(
        4096,
        ge=1,
        description="Searches that run at once, at most. A network's answer may differ in the last bit by what is "
        "asked beside it, so another number may find other records.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "ModelBased":
        if self.k_min > self.k_max:
            raise ValueError(
                f"k_min={self.k_min} is more than k_max={self.k_max}; proposals change k_max features at "
                "first and k_min at last"
            )
        return self

    @property
    def label(self) -> str:
        """The data's name with what is not usual, such as `model_based(conf_min=0.8)`."""
        usual = {name: field.default for name, field in type(self).model_fields.items()} | {"side_by_side": None}
        changed = [f"{k}={v}" for k, v in self.model_dump().items() if usual[k] not in (v, None)]
        return f"model_based({', '.join(changed)})" if changed else "model_based"

    @property
    def assumption(self) -> str:
        """What the attacker has."""
        return "records made by asking the target alone (Shokri 2017, algorithm 1), knowing what values features have"

    @property
    def asks(self) -> bool:
        """Whether the target is asked."""
        return True

    @property
    def needs_pool(self) -> bool:
        """Whether records are needed that are neither members nor non-members."""
        return False

    def most_queries(self, n_records: int) -> int:
        """Return how many queries the searches take, at most."""
        return n_records * self.iter_max

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield what searches for all classes find."""
        found = self.synthesise(drawing, np.arange(drawing.n_classes))
        yield found.records, found.labels

    def synthesise(self, drawing: Drawing, classes: Ints) -> Synthesised:
        """Search for records of some classes.

        Parameters
        ----------
        of
            Its `ask` is the target; `n_records` counts the searches for all classes.
        classes
            Which to search for now; a class's searches do not depend on the others.
        """
        from umbrameter.shadow_data.search import Search, search  # here, since it needs numba

        if drawing.ask is None:
            raise ValueError("model_based needs a target to ask")
        counts = [len(part) for part in np.array_split(np.arange(drawing.n_records), drawing.n_classes)]
        wanted = np.repeat(classes, [counts[label] for label in classes])
        seeds = [integers(drawing.seed, "synthesis", counts[label], int(label)) for label in classes]
        how = Search(self.iter_max, self.conf_min, self.rej_max, self.k_max, self.k_min)
        records = np.empty((len(wanted), drawing.records.n_features), dtype=np.float32)
        is_found, queries = np.zeros(len(wanted), dtype=np.bool_), np.zeros(len(wanted), dtype=np.int64)
        for ended in search(drawing.ask, wanted, np.concatenate(seeds), drawing.records.domain, how, self.side_by_side):
            records[ended.searches], is_found[ended.searches] = ended.records, ended.is_found
            queries[ended.searches] = ended.queries
        return Synthesised(records[is_found], wanted[is_found], wanted, is_found, queries)
