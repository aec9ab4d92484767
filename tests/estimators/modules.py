"""A network of torch that workers can import."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")


class Layers(torch.nn.Module):
    """One hidden layer, and probabilities."""

    def __init__(self, n_features: int = 6, n_hidden: int = 16, n_classes: int = 2):
        super().__init__()
        hidden, last = torch.nn.Linear(n_features, n_hidden), torch.nn.Linear(n_hidden, n_classes)
        self.layers = torch.nn.Sequential(hidden, torch.nn.ReLU(), last, torch.nn.Softmax(-1))

    def forward(self, X: Any) -> Any:
        return self.layers(X)
