"""Fitted models that are loaded on demand, since all of them may not fit into memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from umbrameter.typing import Classifier


class LazyModels(Mapping[int, Classifier]):
    """Models by number, such as attack models by class, each loaded on every access and not kept.

    Parameters
    ----------
    labels
        The numbers that have a model.
    read
        Loads a number's model.
    """

    def __init__(self, labels: Sequence[int], read: Callable[[int], Classifier]):
        self._labels, self._read = list(labels), read

    def __getitem__(self, label: int) -> Classifier:
        """Load a model."""
        if label not in self._labels:
            raise KeyError(label)
        return self._read(label)

    def __contains__(self, label: object) -> bool:
        """Return whether a number has a model, without loading it."""
        return label in self._labels

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers."""
        return iter(self._labels)

    def __len__(self) -> int:
        """Return how many models there are."""
        return len(self._labels)
