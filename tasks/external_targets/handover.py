"""Hand a Python object to a flow."""

from typing import Any


class ModelHandle:
    """A Python object handed to a flow; opaque, since Prefect writes a flow's parameters into its database.

    Parameters
    ----------
    model
        The fitted classifier.
    """

    __slots__ = ("model",)  # without a `__dict__`, Prefect finds nothing to encode

    def __init__(self, model: Any):
        self.model = model
