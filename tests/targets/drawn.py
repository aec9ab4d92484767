"""Tables and models that Hypothesis draws, the files they are in, and the AUC of asking the model by hand."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from umbrameter.predictions.vectors import TINY
from umbrameter.records.build import AnyData, build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.steps.split import Split
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure
from umbrameter.targets import StoredTarget

TEXTS = {"string": pa.string(), "large_string": pa.large_string(), "dictionary": pa.dictionary(pa.int32(), pa.string())}
KINDS = ("float64", "float32", "int64", "large int64", "int8", "bool", *TEXTS)
KEYS = (("north", "south"), ("1", "2"), ("01", "2"))
"""Names of folders: text, whole numbers, and text that a guess would make whole numbers."""

LABELS: dict[str, tuple[Any, ...]] = {
    "from 0": (0, 1, 2, 3, 4),
    "signs": (-1, 1),
    "gaps": (3, 7, 20, 41, 1000),
    "gaps and 0": (-5, 0, 6, 8, 9),
    "text": ("ash", "Beech", "elm", "oak tree", "yew"),
    "bool": (False, True),
    "whole floats": (1.0, 2.0, 4.0, 5.0, 9.0),
}
LABEL_TYPES = {
    "text": ("string", "large_string", "dictionary"),
    "bool": ("bool",),
    "whole floats": ("float64", "float32"),
}
"""How labels are stored; the rest as integers."""

OTHERS: dict[str, tuple[Any, ...]] = {
    "from 0": (-1, 7),
    "signs": (0, 2),
    "gaps": (0, 5, 2000),
    "gaps and 0": (-9, 3, 10),
    "text": ("Alder", "fir", "zelkova"),
    "bool": (),
    "whole floats": (0.0, 3.0, 10.0),
}
"""Classes that a model may know and no record has: before, among and behind the others."""


@dataclass(frozen=True)
class Case:
    """What Hypothesis draws."""

    seed: int
    columns: tuple[str, ...]
    labels: str
    label_type: str
    n_classes: int
    is_skewed: bool
    n_sides: tuple[int, int]
    layout: str
    keys: tuple[str, str]
    has_ids: bool
    on_arrays: bool
    other: Any
    is_reversed: bool
    certainty: tuple[int, int]
    as_text: bool
    answer: str
    request: str
    stored: str

    @cached_property
    def names(self) -> list[str]:
        """The features' names, in the files' order."""
        return [f"{i} {kind}" for i, kind in enumerate(self.columns)] + ["key"] * (self.layout == "hive")

    @cached_property
    def classes(self) -> list[Any]:
        return sorted(LABELS[self.labels][: self.n_classes])

    @property
    def is_single(self) -> bool:
        return self.answer in ("(n,)", "(n, 1)")


FORMS = ("frames", "arrays", "another order", "one number", "a class more")
"""What is particular about a model; the rest is drawn."""


@st.composite
def cases(draw: Any, form: str) -> Case:
    labels = draw(st.sampled_from([name for name in LABELS if OTHERS[name] or form != "a class more"]))
    n_classes = 2 if form == "one number" else draw(st.integers(2, len(LABELS[labels])))
    on_arrays = form == "arrays" or (form != "frames" and draw(st.booleans()))
    kinds = [kind for kind in KINDS if kind not in TEXTS or not on_arrays]
    singles = ["(n,)", "(n, 1)"] if form == "one number" else ["vectors"]
    return Case(
        seed=draw(st.integers(0, 2**32 - 1)),
        columns=tuple(draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=6))),
        labels=labels,
        label_type=draw(st.sampled_from(LABEL_TYPES.get(labels, ("int64", "int16")))),
        n_classes=n_classes,
        is_skewed=draw(st.booleans()),
        n_sides=draw(st.sampled_from([(40, 40), (60, 12), (20, 60), (33, 50)])),
        layout=draw(st.sampled_from(["file", "files", "hive"])),
        keys=("1", "2") if on_arrays else draw(st.sampled_from(KEYS)),
        has_ids=draw(st.booleans()),
        on_arrays=on_arrays,
        other=draw(st.sampled_from(OTHERS[labels])) if form == "a class more" else None,
        is_reversed=form == "another order" or draw(st.booleans()),
        certainty=draw(st.sampled_from([(1, 0), (8, 0), (1, 20)])),
        as_text=draw(st.booleans()),
        answer=draw(st.sampled_from(singles)),
        request=draw(st.sampled_from(["mlflow", "row", "mapping", "labelled"])),
        stored=draw(st.sampled_from(["list", "large list", "fixed list", "columns", "folders"])),
    )


# The files, and what pandas reads from them


def values(kind: str, n: int, rng: np.random.Generator) -> Any:
    """Return a column that tells records apart only by digits, or beyond the integers, that float32 loses."""
    match kind:
        case "float64":
            return np.round(rng.integers(1, 4000, n) / 10 + 2.0**20, 1)
        case "float32":
            return rng.normal(70, 9, n).astype(np.float32)
        case "int64":
            return rng.integers(0, 50, n)
        case "large int64":
            return 2 ** int(rng.integers(25, 61)) + rng.integers(0, 3 * n, n)
        case "int8":
            return rng.integers(-128, 128, n).astype(np.int8)
        case "bool":
            return rng.random(n) < 0.5
    return rng.choice(["Graz", "Linz", "Wien", "Bern", ""], n)


def table_of(case: Case) -> pa.Table:
    """Return all records: members first, with an id each; every class is among the members."""
    rng, n = np.random.default_rng(case.seed), sum(case.n_sides)
    shares = np.where(np.arange(case.n_classes), 0.1, 1.0) if case.is_skewed else np.ones(case.n_classes)
    codes = rng.choice(case.n_classes, n, p=shares / shares.sum())
    codes[: case.n_classes] = np.arange(case.n_classes)
    columns = {
        name: pa.array(values(kind, n, rng), None if kind not in TEXTS else pa.string())
        for name, kind in zip(case.names, case.columns, strict=False)
    }
    if case.layout == "hive":
        columns["key"] = pa.array(np.array(case.keys)[np.arange(n) % 2])
    ids = pa.array(10**12 + rng.permutation(n))
    return pa.table({"id": ids, **columns, "label": pa.array([case.classes[code] for code in codes])})


def write(part: pa.Table, path: Path, case: Case) -> str:
    """Write a table as the case has it; each file has dictionaries of its own, and the second another order."""
    if case.layout == "file":
        path = path.with_suffix(".parquet")
        pq.write_table(typed(part, case), path)
    elif case.layout == "files":
        path.mkdir()
        middle = part.num_rows // 3
        pq.write_table(typed(part.slice(0, middle), case), path / "a.parquet")
        pq.write_table(typed(part.slice(middle), case).select(part.schema.names[::-1]), path / "b.parquet")
    else:
        for key in case.keys:
            (path / f"key={key}").mkdir(parents=True)
            rows = part.filter(pc.equal(part["key"], key)).drop_columns(["key"])
            pq.write_table(typed(rows, case), path / f"key={key}" / "part.parquet")
    return str(path)


def typed(table: pa.Table, case: Case) -> pa.Table:
    """Return text and labels as the case's types of them."""
    for i, name in enumerate(table.schema.names):
        kind = case.label_type if name == "label" else name.partition(" ")[2]
        if kind == "dictionary":
            table = table.set_column(i, name, table[name].combine_chunks().dictionary_encode())
        elif name == "label" or kind in TEXTS:
            table = table.set_column(i, name, table[name].cast(TEXTS.get(kind, kind)))
    return table


def by_pandas(path: str, case: Case) -> pd.DataFrame:
    """Return what pandas reads, file by file; a folder's key is a whole number only if that changes no key."""
    if case.layout == "file":
        return pd.read_parquet(path)
    parts = []
    for file in sorted(Path(path).rglob("*.parquet")):
        part = pd.read_parquet(file, partitioning=None)
        if case.layout == "hive":
            text = file.parent.name.partition("=")[2]
            part["key"] = int(text) if case.keys == ("1", "2") else text
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


# The model, asked by hand


class Asked:
    """A model, asked by hand about a data frame; it answers as the case has it."""

    def __init__(self, case: Case, members: pd.DataFrame):
        self.case = case
        others = members.head(6).assign(label=case.other)[: 6 * (case.other is not None)]
        frame = pd.concat([members, others], ignore_index=True) if len(others) else members
        X, y = self.given(frame), frame["label"].tolist()
        self.model = self._fitted(X, np.array([str(label) for label in y] if case.as_text else y))
        self.dtypes = members[case.names].dtypes

    def given(self, frame: pd.DataFrame) -> Any:
        """Return a frame's features in the form that the model was trained on."""
        names = self.case.names
        return np.column_stack([frame[name] for name in names]) if self.case.on_arrays else frame[names]

    def _fitted(self, X: Any, y: Any) -> Any:
        places = [*range(len(self.case.names))] if self.case.on_arrays else self.case.names
        numbers = [
            place
            for place, name in zip(places, self.case.names, strict=True)
            if self.case.on_arrays or pd.api.types.is_numeric_dtype(X[name])
        ]
        encoder = ColumnTransformer(
            [("exact", OneHotEncoder(handle_unknown="ignore"), places), ("near", StandardScaler(), numbers)]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it need not converge
            model = make_pipeline(encoder, LogisticRegression(C=3, max_iter=30)).fit(X, y)
        last = model[-1]
        sharpness, bias = self.case.certainty
        last.coef_, last.intercept_ = last.coef_ * sharpness, last.intercept_ * sharpness
        last.intercept_[0] += bias  # answers that float32 rounds to 1, if it gets them too early
        if self.case.is_reversed:
            last.classes_ = last.classes_[::-1]
            sign = -1 if len(last.classes_) == 2 else 1
            last.coef_, last.intercept_ = sign * last.coef_[::-1], sign * last.intercept_[::-1]
        return model

    @property
    def classes(self) -> list[Any]:
        """The model's classes in its order, as plain values."""
        return self.model.classes_.tolist()

    @cached_property
    def places(self) -> list[int]:
        """The column of the model's answers for each class of the data."""
        return [self.classes.index(str(label) if self.case.as_text else label) for label in self.case.classes]

    def vectors(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the answers; of a model that answers one number, what follows from it."""
        vectors = self.model.predict_proba(self.given(frame))
        return np.column_stack([1 - vectors[:, 1], vectors[:, 1]]) if self.case.is_single else vectors

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the place of each record's class among the data's."""
        return np.array([self.case.classes.index(label) for label in frame["label"]])

    def confidence(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the confidence in the label, in float32; those below its smallest normal number are equal."""
        places = np.array(self.places)[self.codes(frame)]
        return np.maximum(self.vectors(frame)[np.arange(len(frame)), places].astype(np.float32), np.float32(TINY))


def by_hand(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """Return the AUC, pair by pair."""
    above, equal = members[:, None] > nonmembers, members[:, None] == nonmembers
    return float((above + equal / 2).mean())


@dataclass(frozen=True)
class Prepared:
    """One case: its files, its model, and the AUC by hand."""

    case: Case
    folder: Path
    sides: tuple[pd.DataFrame, pd.DataFrame]
    data: AnyData
    asked: Asked

    @cached_property
    def auc(self) -> float:
        return by_hand(*map(self.asked.confidence, self.sides))

    @cached_property
    def answers(self) -> str:
        """The path of stored answers for an audit: classes in the data's order, then the model's other ones."""
        order = [*self.asked.places, *(i for i in range(len(self.asked.classes)) if i not in self.asked.places)]
        tables = [
            pa.table(
                {
                    "record_id": side["id"],
                    "label": self.asked.codes(side),
                    "is_member": np.full(len(side), is_member),
                    "prediction": self.asked.vectors(side)[:, order].tolist(),
                }
            )
            for side, is_member in zip(self.sides, (True, False), strict=True)
        ]
        path = self.folder / "answers.parquet"
        pq.write_table(pa.concat_tables(tables), path)
        return str(path)

    @cached_property
    def records(self) -> tuple[Records, Artefact]:
        """The records and their split, as an audit has them."""
        store = Store(self.folder / "root")
        membership = StoredTarget(path=self.answers).membership if self.case.has_ids else None
        path = build(self.data, store, membership).path
        return Records.open(store, path), store.open(ensure(store, Split(path, None, None, 0)))


def prepared(case: Case, folder: Path) -> Prepared:
    table, n = table_of(case), case.n_sides[0]
    told: dict[str, Any] = {"label": "label", "id": "id", "duplicates": "keep"}
    if case.has_ids:
        path = write(table, folder / "all", case)
        frame, ids = by_pandas(path, case), table["id"].to_pylist()
        is_member = frame["id"].isin(ids[:n])
        sides, data = (frame[is_member], frame[~is_member]), ParquetData(path=path, **told)
    else:
        paths = [write(part, folder / name, case) for name, part in (("in", table[:n]), ("out", table[n:]))]
        sides = (by_pandas(paths[0], case), by_pandas(paths[1], case))
        data = SidesData(members=paths[0], nonmembers=paths[1], **told)
    return Prepared(case, folder, sides, data, Asked(case, sides[0]))
