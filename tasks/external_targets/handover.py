"""A Python object on its way to a flow."""

from typing import Any


class ModelHandle:
    """A Python object on its way to a flow; opaque, since Prefect writes a flow's parameters into its database.

    Parameters
    ----------
    model
        The fitted classifier.
    """

    __slots__ = ("model",)  # without a dictionary nothing of it can be encoded

    def __init__(self, model: Any):
        self.model = model
