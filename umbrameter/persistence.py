"""Fitted models as skops files, of which loading one runs no code, and models that are loaded on demand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from zipfile import BadZipFile

from umbrameter.dotted_paths import allowed_prefixes
from umbrameter.errors import StoreError
from umbrameter.typing import Classifier


def dump_model(model: Any) -> bytes:
    """Return the content of a skops file that holds a fitted classifier."""
    import skops.io  # here, since it loads torch and the like where they are installed: hundreds of MB per worker

    content: bytes = skops.io.dumps(model)
    return content


def load_model(content: bytes) -> Any:
    """Load a classifier from a skops file.

    Raises
    ------
    StoreError
        When the file is damaged, or names types outside numpy, scipy and the allowed prefixes.
    """
    import skops.io

    trusted = ("numpy.", "scipy.", *allowed_prefixes())
    try:
        types = skops.io.get_untrusted_types(data=content)
    except (BadZipFile, KeyError, ValueError) as error:
        raise StoreError(f"a stored model cannot be read ({error}): the file is damaged; make it again") from error
    foreign = [name for name in types if not name.startswith(trusted)]
    if foreign:
        raise StoreError(f"a stored model holds {', '.join(foreign)}, which is not trusted; remove it and run again")
    return skops.io.loads(content, trusted=types)


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
