"""Records made from statistics alone: each feature drawn from its own distribution, apart from the others."""

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
"""Values of features of the pool from which statistics are taken, at most."""

MOST_DISTINCT = 256
"""Different values of a number up to which each is counted; of others the quantiles are taken."""

QUANTILES = 257
"""Of a number with more different values."""


class Feature(BaseModel):
    """One feature's distribution: values with their shares, or quantiles at equal steps."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="The feature's name, as in the data.")
    values: tuple[Any, ...] = Field((), description="Its values: numbers, or a category's text.")
    shares: tuple[Annotated[float, Field(ge=0)], ...] = Field((), description="How frequent each is.")
    quantiles: tuple[float, ...] = Field((), description="At equal steps from the least value to the largest.")

    @model_validator(mode="after")
    def _complete(self) -> "Feature":
        counted = bool(self.values) and len(self.values) == len(self.shares) and sum(self.shares) > 0
        if counted == bool(self.quantiles) or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"feature {self.name!r}: give values with one share each, or quantiles in rising order")
        return self

    def draw(self, uniform: Floats, codes: Sequence[str] | None) -> Floats:
        """Return values for uniform numbers in [0, 1); of a category, codes."""
        if self.quantiles:
            return np.asarray(np.interp(uniform, np.linspace(0, 1, len(self.quantiles)), self.quantiles))
        values = self.values if codes is None else [codes.index(str(value)) for value in self.values]
        ends = np.cumsum(self.shares)
        place = np.minimum(np.searchsorted(ends, uniform * ends[-1], side="right"), len(ends) - 1)
        return np.asarray(np.asarray(values, dtype=np.float64)[place])

    def fault(self, codes: Sequence[str] | None) -> str | None:
        """Say what no record can be drawn from, if anything; `codes` are a category's values in the data."""
        if codes is None:
            wrong = [value for value in self.values if not isinstance(value, int | float) or not isfinite(value)]
            return f"{wrong[0]!r} is no number" if wrong else None
        if self.quantiles:
            return "a category has values with shares, not quantiles"
        wrong = [value for value in self.values if str(value) not in codes]
        return f"the data have no category {wrong[0]!r}" if wrong else None


class ClassMarginals(BaseModel):
    """The distributions of one class's features, or of all classes'."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label: int | str | bool | None = Field(None, description="The class; null where all classes are taken together.")
    share: float = Field(1.0, gt=0, description="How frequent the class is.")
    features: tuple[Feature, ...] = Field(min_length=1, description="All features.")


class Marginals(BaseModel):
    """Statistics that records can be made from: a JSON file.

    Numbers beyond the least and the largest of the data are taken for these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    classes: tuple[ClassMarginals, ...] = Field(min_length=1, description="One entry a class, or one for all.")

    @property
    def is_by_class(self) -> bool:
        """Whether the distributions are of single classes."""
        return all(entry.label is not None for entry in self.classes)

    @classmethod
    def of(cls, records: Records, rows: Ints, by_class: bool, rng: np.random.Generator) -> "Marginals":
        """Return the statistics of some records.

        Parameters
        ----------
        records, rows
            Which records; of very many, a sample.
        by_class
            Whether to take each class by itself.
        rng
            Of the sample.
        """
        X, y = records.take(rng.permutation(rows)[: max(1, MOST_VALUES // records.n_features)])
        sides = [(records.classes[label], y == label) for label in np.unique(y)] if by_class else [(None, y >= 0)]
        return cls(
            classes=tuple(
                ClassMarginals(label=name, share=own.mean().item(), features=_features(records, X[own]))
                for name, own in sides
            )
        )

    @classmethod
    def load(cls, path: str) -> "Marginals":
        """Read a file of marginals.

        Raises
        ------
        DataError
            When it cannot be read, or is none.
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
                f"shadows.data.file={path!r} is no file of marginals ({text}); see docs/targets.md for its form"
            ) from None

    def check(self, records: Records, path: str) -> None:
        """Refuse marginals that lack a class or a feature of the data, or have one that is not in them, or twice.

        Raises
        ------
        DataError
            Also when a feature's values are none that it can have.
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
            drawing = "" if entry.label is None else f" in class {entry.label!r}"
            self._match([f.name for f in entry.features], records.feature_names, f"feature{drawing}", path)
            for feature in entry.features:
                if fault := feature.fault(codes.get(feature.name)):
                    text = f"feature {feature.name!r}{drawing}: {fault}; correct the file"
                    raise DataError(f"shadows.data.file={path!r}, {text}")

    @staticmethod
    def _match(found: Sequence[Any], expected: Sequence[Any], what: str, path: str) -> None:
        twice = {name for name, n in Counter(found).items() if n > 1}
        faults = (
            ("lacks", {*expected} - {*found}),
            ("has, which the data have not,", {*found} - {*expected}),
            ("has twice", twice),
        )
        text = " and ".join(f"{says} {_named(names, what)}" for says, names in faults if names)
        if text:
            raise DataError(f"shadows.data.file={path!r} {text}; correct the file")


def _named(names: set[Any], what: str) -> str:
    """Return some names with their number, such as `2 features in class 1: a, b`."""
    noun, _, drawing = what.partition(" ")
    ending = "" if len(names) == 1 else "es" if noun == "class" else "s"
    return f"{len(names)} {noun}{ending}{drawing and ' ' + drawing}: {', '.join(sorted(map(str, names))[:5])}"


def _codes(records: Records) -> dict[str, list[str]]:
    """Return the values of each feature that is a category."""
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
        description="Whether distributions are of each class, whose label records get; else they are of all records, "
        "and the label is what the target answers.",
    )
    file: str | None = Field(None, description="A JSON file of marginals; those of the pool if unset.")

    @property
    def label(self) -> str:
        """The data's name, such as `marginal` or `marginal(of all classes)`."""
        return "marginal" if self.by_class else "marginal(of all classes)"

    @property
    def assumption(self) -> str:
        """What the attacker has."""
        drawing = "of each class" if self.by_class else "of all records"
        return f"records made from the distributions of single features {drawing}" + (
            "" if self.by_class else ", labelled by the target"
        )

    @property
    def asks(self) -> bool:
        """Whether the target is asked."""
        return not self.by_class

    @property
    def needs_pool(self) -> bool:
        """Whether records are needed that are neither members nor non-members."""
        return self.file is None

    def digest(self) -> str | None:
        """Return the SHA-256 of the file of marginals, if there is one."""
        return None if self.file is None else digest(Marginals.load(self.file).model_dump(mode="json"))

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield records, class by class where distributions are of each class."""
        known = self._known(drawing)
        shares = np.array([entry.share for entry in known.classes])
        counts = np.diff(
            np.rint(np.concatenate([[0], np.cumsum(shares / shares.sum())]) * drawing.n_records).astype(int)
        )
        for entry, n in zip(known.classes, counts, strict=True):
            for block, start in enumerate(range(0, n, drawing.block)):
                X = _drawn(entry, min(drawing.block, n - start), drawing, block)
                label = None if entry.label is None else drawing.records.classes.index(entry.label)
                yield X, _labels(drawing, X) if label is None else np.full(len(X), label)

    def _known(self, drawing: Drawing) -> Marginals:
        if self.file is None:
            return Marginals.of(drawing.records, drawing.pool, self.by_class, drawing.rng("marginals"))
        known = Marginals.load(self.file)
        known.check(drawing.records, self.file)
        if known.is_by_class != self.by_class:
            raise DataError(
                f"shadows.data.by_class={self.by_class}, but shadows.data.file={self.file!r} has distributions of "
                f"{'each class' if known.is_by_class else 'all records'}; change the setting or the file"
            )
        return known


def _drawn(entry: ClassMarginals, n: int, drawing: Drawing, block: int) -> Floats:
    """Return records with each feature drawn by itself, shape (n, n_features)."""
    codes, domain = _codes(drawing.records), drawing.records.domain
    place = 0 if entry.label is None else drawing.records.classes.index(entry.label)
    uniform = drawing.rng("marginal", place, block).random((drawing.records.n_features, n))
    by_name = {feature.name: feature for feature in entry.features}
    columns = [by_name[name].draw(uniform[i], codes.get(name)) for i, name in enumerate(drawing.records.feature_names)]
    X = np.clip(np.column_stack(columns), domain.low, domain.high)
    return np.where(domain.is_whole, np.rint(X), X).astype(drawing.records.precision)


def _labels(drawing: Drawing, X: Floats) -> Ints:
    if drawing.ask is None:
        raise ValueError("records without labels need a target to ask")
    return np.asarray(drawing.ask(X).argmax(axis=1))
