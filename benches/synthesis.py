"""Shadow records by querying a target of 600 bits, 128 tanh units, 100 classes: searches in parallel and one by one."""

import numpy as np
import pyarrow as pa

from benches.compare import Row, Time, full, in_turn, report
from data.generated import purchase_like
from umbrameter.networks import MLPClassifier
from umbrameter.records.reader import Domain
from umbrameter.shadow_data.model_based import ModelBased
from umbrameter.shadow_data.search import Search, search
from umbrameter.store.arrow import vectors

N_FEATURES, N_CLASSES, EPOCHS = 600, 100, 60
DEFAULTS = ModelBased()
HOW = Search(DEFAULTS.iter_max, DEFAULTS.conf_min, DEFAULTS.rej_max, DEFAULTS.k_max, DEFAULTS.k_min)
BITS = Domain(np.zeros(N_FEATURES), *(np.ones(N_FEATURES, dtype=kind) for kind in (float, bool, bool)))


def target() -> MLPClassifier:
    sold = pa.Table.from_batches(purchase_like(10_000))
    network = MLPClassifier((128,), "tanh", epochs=EPOCHS, batch_size=100, random_state=0)
    return network.fit(vectors(sold["x"]).astype(np.float32), np.asarray(sold["y"]))


def one_search(ask, label, rng):
    """Run Algorithm 1 as a plain loop; return whether a record was found, and the number of queries."""
    x = rng.integers(0, 2, N_FEATURES).astype(np.float32)
    best, confidence, rejects, k = x, 0.0, 0, HOW.k_max
    for query in range(1, HOW.iter_max + 1):
        y = ask(x[None])[0]
        if y[label] >= confidence:
            if y[label] > HOW.conf_min and y.argmax() == label and rng.random() < y[label]:
                return True, query
            best, confidence, rejects = x, y[label], 0
        else:
            rejects += 1
            if rejects > HOW.rej_max:
                k, rejects = max(HOW.k_min, -(-k // 2)), 0
        x = best.copy()
        x[rng.choice(N_FEATURES, k, replace=False)] = rng.integers(0, 2, k)
    return False, HOW.iter_max


def one_at_a_time(ask, n_per_class):
    """Search until each class has its records; return the numbers of records and of queries."""
    rng, queries = np.random.default_rng(0), 0
    for label in range(N_CLASSES):
        n_found = 0
        while n_found < n_per_class:
            is_found, asked = one_search(ask, label, rng)
            n_found, queries = n_found + is_found, queries + asked
    return N_CLASSES * n_per_class, queries


def side_by_side(ask, n_per_class):
    """Do the same with searches side by side; those that fail are replaced in the next round."""
    missing, queries, rounds = np.full(N_CLASSES, n_per_class), 0, 0
    while missing.any():
        classes = np.repeat(np.arange(N_CLASSES), missing)
        seeds = np.random.SeedSequence([0, rounds]).generate_state(len(classes), np.uint64)
        for ended in search(ask, classes, seeds, BITS, HOW, DEFAULTS.side_by_side):
            missing -= np.bincount(classes[ended.searches[ended.is_found]], minlength=N_CLASSES)
            queries += int(ended.queries.sum())
        rounds += 1
    return N_CLASSES * n_per_class, queries


def compared(what: str, times: tuple[Time, Time], counts: tuple[int, int], at_least: float | None) -> Row:
    """Return a row with the CPU time per record or query.

    Parameters
    ----------
    what
        What is compared.
    times, counts
        Ours and the other's: total time, and number of records or queries.
    at_least
        The ratio required; none if unset.
    """
    microseconds = [time.cpu / n * 1e6 for time, n in zip(times, counts, strict=True)]
    texts = [f"{one:.1f} µs ({n:,} in {time})" for one, n, time in zip(microseconds, counts, times, strict=True)]
    return Row(what, *texts, microseconds[1] / microseconds[0], at_least)


def main() -> None:
    ask = target().predict_proba
    records = (np.random.default_rng(0).random((4096, N_FEATURES)) < 0.5).astype(np.float32)
    side_by_side(ask, 1), one_search(ask, 0, np.random.default_rng(0))  # loads numba's kernels
    counts = {}
    contestants = {
        "one at a time, 4 per class": lambda: counts.update(one=one_at_a_time(ask, 4)),
        "side by side, 4 per class": lambda: counts.update(few=side_by_side(ask, 4)),
        "side by side, 40 per class": lambda: counts.update(many=side_by_side(ask, 40)),
        "answers alone": lambda: [ask(records) for _ in range(40)],
    }
    one, few, many, alone = in_turn(contestants, rounds=7 if full() else 3).values()
    (n, asked), rows = counts["one"], []
    for n_per_class, time, (n_ours, asked_ours) in ((4, few, counts["few"]), (40, many, counts["many"])):
        title = f"one search at a time v. side by side, {n_per_class} records per class"
        rows += [
            compared(f"{title}: time per query", (time, one), (asked_ours, asked), 20),
            compared(f"{title}: time per record", (time, one), (n_ours, n), 20),
            Row(f"{title}: queries per record", *(f"{q / m:.1f}" for q, m in ((asked_ours, n_ours), (asked, n))), None),
        ]
    bound = compared(
        "the target's answers alone, in batches of 4,096", (many, alone), (counts["many"][1], 40 * 4096), None
    )
    report([*rows, bound])


if __name__ == "__main__":
    main()
