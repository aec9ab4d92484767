"""Shadow data made by querying the target: an attacker without records searches for what the target is sure of."""

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
    """The outcome of searches.

    Parameters
    ----------
    records, labels
        The records found, in the order of the searches, shapes (n_found, n_features) and (n_found,).
    classes, is_found, queries
        The class of every search, whether it found a record, and its queries, shape (n_searches,).
    """

    records: Floats
    labels: Ints
    classes: Ints
    is_found: Bools
    queries: Ints


class ModelBased(ShadowData):
    """Records that the target is sure of, found by the same number of searches per class.

    A search begins with a random record and repeatedly changes some random features; a change is kept if the target is
    at least as sure of the class as before. Some classes cannot be reached in this way; the report says which.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, section V-C and algorithm 1.
    """

    kind: Literal["model_based"] = Field(
        "model_based", description="Found by querying the target (Shokri 2017, alg. 1)."
    )
    iter_max: int = Field(1000, ge=1, description="Most queries of one search.", examples=[500])
    conf_min: float = Field(
        0.2, ge=0, lt=1, description="A record is accepted only if the confidence is higher.", examples=[0.5]
    )
    rej_max: int = Field(
        10, ge=0, description="Rejected proposals in a row before fewer features are changed.", examples=[5]
    )
    k_max: int = Field(128, ge=1, description="Features that a proposal changes at first.", examples=[64])
    k_min: int = Field(4, ge=1, description="Fewest features that a proposal changes.", examples=[2])
    side_by_side: int = Field(
        4096,
        ge=1,
        description="Most searches that run at once. A network's answer may differ in the last bit with the other "
        "records in its batch, so another number may find other records.",
        examples=[1024],
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
        """The data's name with all settings that are not the default, such as `model_based(conf_min=0.8)`."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()} | {
            "side_by_side": None
        }  # a matter of speed, so never shown
        changed = [f"{k}={v}" for k, v in self.model_dump().items() if defaults[k] not in (v, None)]
        return f"model_based({', '.join(changed)})" if changed else "model_based"

    @property
    def assumption(self) -> str:
        """The data that the attacker is assumed to have."""
        return "only the range of each feature, and records found by querying the target (Shokri 2017, algorithm 1)"

    @property
    def asks(self) -> bool:
        """Whether the target is queried: it is."""
        return True

    @property
    def needs_pool(self) -> bool:
        """Whether a pool is needed: it is not."""
        return False

    def most_queries(self, n_records: int) -> int:
        """Return the largest number of queries that the searches take."""
        return n_records * self.iter_max

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield the records that searches for all classes find."""
        synthesised = self.synthesise(drawing, np.arange(drawing.n_classes))
        yield synthesised.records, synthesised.labels

    def synthesise(self, drawing: Drawing, classes: Ints) -> Synthesised:
        """Search for records of some classes.

        Parameters
        ----------
        drawing
            Its `ask` is the target; its `n_records` is the number of searches for all classes together.
        classes
            The classes to search for now; their searches do not depend on the other classes.
        """
        from umbrameter.shadow_data.search import Search, search  # imported here, since numba is slow to import

        if drawing.ask is None:
            raise ValueError("model_based needs a target to ask")
        # Counts and seeds depend on the class alone, so that the classes can be divided among workers in any way.
        counts = [len(part) for part in np.array_split(np.arange(drawing.n_records), drawing.n_classes)]
        search_classes = np.repeat(classes, [counts[label] for label in classes])
        seeds = [integers(drawing.seed, "synthesis", counts[label], int(label)) for label in classes]
        how = Search(self.iter_max, self.conf_min, self.rej_max, self.k_max, self.k_min)
        records = np.empty((len(search_classes), drawing.records.n_features), dtype=np.float32)
        is_found, queries = np.zeros(len(records), dtype=np.bool_), np.zeros(len(records), dtype=np.int64)
        domain, all_seeds = drawing.records.domain, np.concatenate(seeds)
        for ended in search(drawing.ask, search_classes, all_seeds, domain, how, self.side_by_side):
            records[ended.searches], is_found[ended.searches] = ended.records, ended.is_found
            queries[ended.searches] = ended.queries
        return Synthesised(records[is_found], search_classes[is_found], search_classes, is_found, queries)
