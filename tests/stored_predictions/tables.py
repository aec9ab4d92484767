"""Tables of stored predictions: a target's and its shadow models', with as much of a leak as asked for."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.store.arrow import vector_column

N, N_CLASSES, N_MODELS = 400, 5, 16


def answers(rng, labels, hardness, is_in, gap=2.0):
    raw = rng.normal(size=(len(labels), N_CLASSES))
    raw[np.arange(len(labels)), labels] += 1 + hardness + gap * is_in
    return softmax(raw, axis=1).astype(np.float32)


def audit(seed=1, gap=2.0, n=N, n_models=N_MODELS):
    """Give the tables of a target and of shadow models, each record IN half of them."""
    rng = np.random.default_rng(seed)
    labels, hardness = rng.integers(0, N_CLASSES, 2 * n), rng.normal(size=2 * n)
    ids, member = rng.permutation(10 * n)[: 2 * n], rng.permutation(np.arange(2 * n) < n)
    target = {"label": labels, "is_member": member, "record_id": ids}
    target["prediction"] = vector_column(answers(rng, labels, hardness, member, gap))
    parts = []
    for model in range(n_models):
        is_in = rng.permutation(2 * n) < n
        order = rng.permutation(2 * n)
        vectors = answers(rng, labels, hardness, is_in, gap)[order]
        columns = {"label": labels[order], "is_member": is_in[order], "record_id": ids[order]}
        columns |= {"model_id": np.full(2 * n, model), "prediction": vector_column(vectors)}
        parts.append(pa.table(columns))
    return pa.table(target), pa.concat_tables(parts)


def stored(folder, **tables):
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=1000)
    return [StoredPredictions(folder / f"{name}.parquet") for name in tables]


def column(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, values)
