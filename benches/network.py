"""One shadow model: 600 features, 128 tanh units, 100 classes, 10,000 records, batches of 200, Adam, one thread."""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier as SklearnMLP

from benches.compare import Row, full, in_turn, installed, report, versus
from benches.data import purchases
from umbrameter.networks import MLPClassifier, mlp

EPOCHS, BATCH = 50, 200


def ours(X, y):
    return MLPClassifier((128,), epochs=EPOCHS, batch_size=BATCH, random_state=0).fit(X, y)


def ours_dense(X, y):
    # No share of ones is below 0, so the path for bits is never taken.
    below, mlp.BITS_BELOW = mlp.BITS_BELOW, 0.0
    try:
        return ours(X, y)
    finally:
        mlp.BITS_BELOW = below


def theirs(X, y):
    # Neither a penalty nor an early end, as in ours.
    model = SklearnMLP((128,), activation="tanh", batch_size=BATCH, max_iter=EPOCHS, alpha=0, random_state=0)
    return model.set_params(tol=0, n_iter_no_change=EPOCHS).fit(X, y)


def torch_network():
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(600, 128), torch.nn.Tanh(), torch.nn.Linear(128, 100))
    return torch, model


def torch_loader(X, y):
    """Train as tutorials do."""
    torch, model = torch_network()
    records = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(records, batch_size=BATCH, shuffle=True)
    optimiser = torch.optim.Adam(model.parameters())
    for _ in range(EPOCHS):
        for x, t in loader:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x), t).backward()
            optimiser.step()


def torch_slices(X, y):
    """Train like someone who has looked at a profile."""
    torch, model = torch_network()
    x, t = torch.from_numpy(X), torch.from_numpy(y)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), t[rows]).backward()
            optimiser.step()


def main() -> None:
    warnings.simplefilter("ignore")
    bits, y = purchases(10_000)
    X = bits.astype(np.float32)
    dense = (X + np.random.default_rng(1).normal(size=X.shape, scale=0.1)).astype(np.float32)
    contestants = {
        "ours, bits": lambda: ours(X, y),
        "ours, dense": lambda: ours_dense(dense, y),
        "scikit-learn, integers (float64)": lambda: theirs(bits, y),
        "scikit-learn, float32": lambda: theirs(X, y),
        "scikit-learn, float32, dense": lambda: theirs(dense, y),
    }
    if has_torch := installed("torch"):
        import torch

        torch.set_num_threads(1)
        contestants |= {
            "torch, DataLoader": lambda: torch_loader(X, y),
            "torch, slices and fused Adam": lambda: torch_slices(X, y),
        }
    ours(X[:400], y[:400]), ours_dense(X[:400], y[:400])  # loads numba's kernels
    times = in_turn(contestants, rounds=5 if full() else 3)
    our_time = times["ours, bits"]
    rows = [
        versus("scikit-learn MLP, float64", our_time, times["scikit-learn, integers (float64)"], 4.5, 6),
        versus("scikit-learn MLP, float32", our_time, times["scikit-learn, float32"], 2.4, 3.8),
        versus(
            "dense data: scikit-learn MLP, float32",
            times["ours, dense"],
            times["scikit-learn, float32, dense"],
            1.6,
            2,
        ),
    ]
    if has_torch:
        rows += [
            versus("torch, loop with DataLoader", our_time, times["torch, DataLoader"], 3.5, 5),
            versus("torch, slices and fused Adam", our_time, times["torch, slices and fused Adam"]),
        ]
    report([*rows, *crossover(y)])


def crossover(y) -> list[Row]:
    """Compare our paths for bits and for dense data, by the share of ones."""
    rows = []
    for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5):
        X = (np.random.default_rng(0).random((10_000, 600)) < share).astype(np.float32)
        # Every share of ones is below 1, so the path for bits is always taken.
        mlp.BITS_BELOW = 1.0
        times = in_turn({"bits": lambda X=X: ours(X, y), "dense": lambda X=X: ours_dense(X, y)}, rounds=1)
        rows.append(versus(f"our dense path, at {share:.0%} ones", times["bits"], times["dense"]))
    return rows


if __name__ == "__main__":
    main()
