"""Shadow data made from statistics alone: each feature is drawn independently from its own distribution."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from umbrameter.errors import DataError, brief
from umbrameter.records.reader import Records
from umbrameter.shadow_data.base import Drawing, ShadowData
from umbrameter.store.artefacts import digest
from umbrameter.typing import Floats, Ints

MOST_VALUES = 2**26
"""Most feature values of the pool that statistics are computed from."""

MOST_DISTINCT = 256
"""A numeric feature with at most this many distinct values gets a share for each; any other gets quantiles."""

QUANTILES = 257
"""Quantiles of a numeric feature with more distinct values."""


class Feature(BaseModel):
    """One feature's distribution: values with their shares, or equally spaced quantiles."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="The feature's name, as in the data.")
    values: tuple[Any, ...] = Field((), description="Its values: numbers, or the texts of a category.")
    shares: tuple[Annotated[float, Field(ge=0)], ...] = Field((), description="The share of records with each value.")
    quantiles: tuple[float, ...] = Field(
        (), description="Equally spaced quantiles, from the smallest value to the largest."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Feature":
        counted = bool(self.values) and len(self.values) == len(self.shares) and sum(self.shares) > 0
        # Exactly one of the two forms.
        if counted == bool(self.quantiles) or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"feature {self.name!r}: give values with one share each, or quantiles in rising order")
        return self

    def draw(self, uniform: Floats, codes: Sequence[str] | None) -> Floats:
        """Return values for uniform numbers in [0, 1); for a category, its codes."""
        if self.quantiles:
            return np.asarray(np.interp(uniform, np.linspace(0, 1, len(self.quantiles)), self.quantiles))
        values = self.values if codes is None else [codes.index(str(value)) for value in self.values]
        ends = np.cumsum(self.shares)
        # Clipped, since uniform * ends[-1] may round up to ends[-1].
        positions = np.minimum(np.searchsorted(ends, uniform * ends[-1], side="right"), len(ends) - 1)
        return np.asarray(np.asarray(values, dtype=np.float64)[positions])

    def fault(self, codes: Sequence[str] | None) -> str | None:
        """Return why no record can be drawn from this, or None; `codes` are a category's values in the data."""
        if codes is None:
            wrong = [value for value in self.values if not isinstance(value, int | float) or not isfinite(value)]
            return f"{wrong[0]!r} is not a number" if wrong else None
        if self.quantiles:
            return "a category has values with shares, not quantiles"
        wrong = [value for value in self.values if str(value) not in codes]
        return f"the data have no category {wrong[0]!r}" if wrong else None


class ClassMarginals(BaseModel):
    """The distributions of features in one class, or in all classes together."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label: int | str | bool | None = Field(None, description="The class; null for all classes together.")
    share: float = Field(1.0, gt=0, description="The share of records in the class.")
    features: tuple[Feature, ...] = Field(min_length=1, description="The distribution of every feature.")


class Marginals(BaseModel):
    """Statistics that records can be made from, as a JSON file holds them.

    Numbers outside a feature's range in the data are clipped to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    classes: tuple[ClassMarginals, ...] = Field(
        min_length=1, description="One entry per class, or one for all classes."
    )

    @property
    def is_by_class(self) -> bool:
        """Whether each entry is for a single class."""
        return all(entry.label is not None for entry in self.classes)

    @classmethod
    def of(cls, records: Records, rows: Ints, by_class: bool, rng: np.random.Generator) -> "Marginals":
        """Return the statistics of some records.

        Parameters
        ----------
        records, rows
            The opened records and the rows to use; of very many rows, a sample is used.
        by_class
            Whether to describe each class separately.
        rng
            Generator of the sample.
        """
        X, y = records.take(rng.permutation(rows)[: max(1, MOST_VALUES // records.n_features)])
        groups = [(records.classes[label], y == label) for label in np.unique(y)] if by_class else [(None, y >= 0)]
        return cls(
            classes=tuple(
                ClassMarginals(label=name, share=is_chosen.mean().item(), features=_features(records, X[is_chosen]))
                for name, is_chosen in groups
            )
        )

    @classmethod
    def load(cls, path: str) -> "Marginals":
        """Read marginals from a JSON file.

        Raises
        ------
        DataError
            When the file cannot be read, or does not hold marginals.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"shadows.data.file={path!r} cannot be read ({brief(error)}); give a JSON file") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = [".".join(map(str, first["loc"]))] if first["loc"] else []
            text = ": ".join([*where, first["msg"].removeprefix("Value error, ")])
            raise DataError(
                f"shadows.data.file={path!r} is not a file of marginals ({text}); see docs/targets.md for its form"
            ) from None

    def check(self, records: Records, path: str) -> None:
        """Refuse marginals whose classes or features are not exactly those of the data.

        Raises
        ------
        DataError
            When they differ, or a feature has values that it cannot have in the data.
        """
        if self.is_by_class:
            self._match([entry.label for entry in self.classes], records.classes, "class", path)
        elif len(self.classes) > 1:
            raise DataError(
                f"shadows.data.file={path!r} has {len(self.classes)} entries, not all with a label; label each with "
                "its class, or give one for all classes"
            )
        codes = _codes(records)
        for entry in self.classes:
            in_class = "" if entry.label is None else f" in class {entry.label!r}"
            self._match([f.name for f in entry.features], records.feature_names, f"feature{in_class}", path)
            for feature in entry.features:
                if fault := feature.fault(codes.get(feature.name)):
                    text = f"feature {feature.name!r}{in_class}: {fault}; correct the file"
                    raise DataError(f"shadows.data.file={path!r}, {text}")

    @staticmethod
    def _match(names: Sequence[Any], expected: Sequence[Any], what: str, path: str) -> None:
        twice = {name for name, n in Counter(names).items() if n > 1}
        faults = (
            ("lacks", {*expected} - {*names}),
            ("unexpectedly has", {*names} - {*expected}),
            ("has twice", twice),
        )
        text = " and ".join(f"{verb} {_named(wrong, what)}" for verb, wrong in faults if wrong)
        if text:
            raise DataError(f"shadows.data.file={path!r} {text}; correct the file")


def _named(names: set[Any], what: str) -> str:
    """Return a count and up to five names, such as `2 features in class 1: a, b`."""
    noun, _, in_class = what.partition(" ")
    ending = "" if len(names) == 1 else "es" if noun == "class" else "s"
    return f"{len(names)} {noun}{ending}{in_class and ' ' + in_class}: {', '.join(sorted(map(str, names))[:5])}"


def _codes(records: Records) -> dict[str, list[str]]:
    """Return each categorical feature's values, in the order of their codes."""
    return {name: list(values) for name, values in records.metadata.categories.items()}


def _features(records: Records, X: Floats) -> tuple[Feature, ...]:
    codes = _codes(records)
    return tuple(_feature(name, X[:, i], codes.get(name)) for i, name in enumerate(records.feature_names))


def _feature(name: str, column: Floats, codes: Sequence[str] | None) -> Feature:
    values, counts = np.unique(column, return_counts=True)
    if codes is None and len(values) > MOST_DISTINCT:
        return Feature(name=name, quantiles=tuple(np.quantile(column, np.linspace(0, 1, QUANTILES)).tolist()))
    named = values.tolist() if codes is None else [codes[int(value)] for value in values]
    return Feature(name=name, values=tuple(named), shares=tuple((counts / counts.sum()).tolist()))


class Marginal(ShadowData):
    """Records whose features are drawn independently, each from its own distribution.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, section V-C, "statistics-based synthesis".
    """

    kind: Literal["marginal"] = Field("marginal", description="Each feature drawn from its own distribution.")
    by_class: bool = Field(
        True,
        description="Whether each class has its own distributions, which also gives records their label; otherwise "
        "they are of all records, and the target labels the records.",
    )
    file: str | None = Field(
        None,
        description="A JSON file of marginals; if unset, they are computed from the pool.",
        examples=["marginals.json"],
    )

    @property
    def label(self) -> str:
        """The data's name, such as `marginal` or `marginal(of all classes)`."""
        return "marginal" if self.by_class else "marginal(of all classes)"

    @property
    def assumption(self) -> str:
        """The data that the attacker is assumed to have."""
        population = "each class" if self.by_class else "all records, labelled by the target"
        return f"records with each feature drawn from its own distribution in {population}"

    @property
    def asks(self) -> bool:
        """Whether the target is queried to make the records."""
        return not self.by_class

    @property
    def needs_pool(self) -> bool:
        """Whether a pool is needed: not with a file of marginals."""
        return self.file is None

    def digest(self) -> str | None:
        """Return the SHA-256 of the file's marginals, or None without a file."""
        return None if self.file is None else digest(Marginals.load(self.file).model_dump(mode="json"))

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield records and labels; class by class, if each class has its own distributions."""
        marginals = self._marginals(drawing)
        shares = np.array([entry.share for entry in marginals.classes])
        # Rounding the running total instead of each share makes the counts add up to n_records.
        counts = np.diff(
            np.rint(np.concatenate([[0], np.cumsum(shares / shares.sum())]) * drawing.n_records).astype(int)
        )
        for entry, n in zip(marginals.classes, counts, strict=True):
            for block, start in enumerate(range(0, n, drawing.block)):
                X = _drawn(entry, min(drawing.block, n - start), drawing, block)
                label = None if entry.label is None else drawing.records.classes.index(entry.label)
                yield X, _labels(drawing, X) if label is None else np.full(len(X), label)

    def _marginals(self, drawing: Drawing) -> Marginals:
        if self.file is None:
            return Marginals.of(drawing.records, drawing.pool, self.by_class, drawing.rng("marginals"))
        marginals = Marginals.load(self.file)
        marginals.check(drawing.records, self.file)
        if marginals.is_by_class != self.by_class:
            raise DataError(
                f"shadows.data.by_class={self.by_class}, but shadows.data.file={self.file!r} has distributions of "
                f"{'each class' if marginals.is_by_class else 'all records'}; change the setting or the file"
            )
        return marginals


def _drawn(entry: ClassMarginals, n: int, drawing: Drawing, block: int) -> Floats:
    """Return records with each feature drawn independently, shape (n, n_features)."""
    codes, domain = _codes(drawing.records), drawing.records.domain
    label = 0 if entry.label is None else drawing.records.classes.index(entry.label)  # the index of the random stream
    uniform = drawing.rng("marginal", label, block).random((drawing.records.n_features, n))
    by_name = {feature.name: feature for feature in entry.features}
    columns = [by_name[name].draw(uniform[i], codes.get(name)) for i, name in enumerate(drawing.records.feature_names)]
    X = np.clip(np.column_stack(columns), domain.low, domain.high)
    return np.where(domain.is_whole, np.rint(X), X).astype(drawing.records.precision)


def _labels(drawing: Drawing, X: Floats) -> Ints:
    if drawing.ask is None:
        raise ValueError("records without labels need a target to ask")
    # Shadow models learn the data's classes, not those that the target alone knows.
    return np.asarray(drawing.ask(X)[:, : drawing.n_classes].argmax(axis=1))
