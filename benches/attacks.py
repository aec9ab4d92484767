"""100 attack models, one per class: 4,000 shadow vectors of 100 confidences each, 64 ReLU units."""

import warnings

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier as SklearnMLP

from benches.compare import Row, Time, full, in_turn, report, versus
from umbrameter.attacks import Shokri, Vectors

N_CLASSES, N_VECTORS, SAMPLE = 100, 4000, 5


def vectors(rng):
    """Return IN and OUT prediction vectors that overlap as shadow models' do; half of them are for training."""
    is_in = rng.random(2 * N_VECTORS) < 0.5
    logits = rng.normal(size=(2 * N_VECTORS, N_CLASSES)) * 1.5
    # IN and OUT are this far apart so that attack models reach an AUC of about .7.
    logits[:, 0] += np.where(is_in, 8.5, 6.5) + rng.normal(size=2 * N_VECTORS) * 1.5
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), is_in


def main() -> None:
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    vectors_by_class = [vectors(rng) for _ in range(N_CLASSES)]
    half = slice(0, N_VECTORS)
    shadows = {c: Vectors(X[half], np.full(N_VECTORS, c), is_in[half]) for c, (X, is_in) in enumerate(vectors_by_class)}
    attack = Shokri()
    epochs = attack.model.params["epochs"]
    models, aucs = {}, {}

    def ours():
        at_once = attack.at_once(4 * N_CLASSES * N_VECTORS)
        for start in range(0, N_CLASSES, at_once):
            classes = range(start, min(start + at_once, N_CLASSES))
            models.update(attack.fit({c: shadows[c] for c in classes}, seed=0))

    def theirs(dtype, **params):
        for c in range(SAMPLE):
            network = SklearnMLP((64,), random_state=c, **params)
            network.fit(shadows[c].predictions.astype(dtype), shadows[c].is_in)
            aucs[str(params)] = auc(network, c)

    def auc(model, c):
        X, is_in = vectors_by_class[c]
        return roc_auc_score(is_in[N_VECTORS:], model.predict_proba(X[N_VECTORS:])[:, 1])

    # With a tolerance of 0 and such patience scikit-learn never stops early.
    same = {"batch_size": 200, "max_iter": epochs, "tol": 0, "n_iter_no_change": epochs}
    ours()  # compiles numba's kernels
    times = in_turn(
        {
            "ours": ours,
            "scikit-learn, its defaults (float64)": lambda: theirs(np.float64),
            "scikit-learn, as many passes (float64)": lambda: theirs(np.float64, **same),
            "scikit-learn, as many passes (float32)": lambda: theirs(np.float32, **same),
        },
        rounds=3 if full() else 2,
    )
    # scikit-learn is timed on a sample of the classes, and its time scaled up to all of them.
    theirs_of_all = {
        n: Time(t.cpu * N_CLASSES / SAMPLE, t.wall * N_CLASSES / SAMPLE) for n, t in times.items() if n != "ours"
    }
    our_time = times["ours"]
    mean = np.mean([auc(models[c], c) for c in range(SAMPLE)])
    theirs_mean = ", ".join(f"{value:.3f}" for value in aucs.values())
    report(
        [
            versus(
                f"{name}, {SAMPLE} of 100 times {N_CLASSES // SAMPLE}", our_time, taken, *((5, 20) if i == 0 else ())
            )
            for i, (name, taken) in enumerate(theirs_of_all.items())
        ]
        + [Row("AUC of the attack models on other vectors", f"{mean:.3f}", theirs_mean, None)]
    )


if __name__ == "__main__":
    main()
