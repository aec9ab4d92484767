"""The paper's convolutional network on 32 by 32 colour images: 1,000 images, batches of 100, Adam, one thread."""

import numpy as np

from benches.compare import full, in_turn, installed, report, versus
from umbrameter.networks import CNNClassifier

EPOCHS, BATCH = 4, 100


def ours(X, y, kernel):
    return CNNClassifier(epochs=EPOCHS, batch_size=BATCH, kernel=kernel, random_state=0).fit(X, y)


def torch_eager(X, y, kernel):
    import torch
    from torch import nn

    layers = [
        *(nn.Conv2d(3, 32, kernel, padding="same"), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, kernel, padding="same"), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.Tanh(), nn.Linear(128, 10)),
    ]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters())
    # Pixels from -1 to 1, as `CNNClassifier` scales them.
    images = torch.from_numpy(X.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    images, labels = images.contiguous(memory_format=torch.channels_last), torch.from_numpy(y)
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))
        for start in range(0, len(labels), BATCH):
            rows = order[start : start + BATCH]
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()


def main() -> None:
    if not installed("torch"):
        report([])
        return
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 255, (1000, 3072)).astype(np.float32), rng.integers(0, 10, 1000)
    rows = []
    for kernel, at_least, reach in ((3, 0.9, 1.2), (5, None, None)):
        ours(X, y, kernel)
        times = in_turn(
            {"ours": lambda k=kernel: ours(X, y, k), "torch": lambda k=kernel: torch_eager(X, y, k)},
            rounds=5 if full() else 3,
        )
        what = f"torch eager, channels_last, {kernel} by {kernel}"
        rows.append(versus(what, times["ours"], times["torch"], at_least, reach))
    report(rows)


if __name__ == "__main__":
    main()
