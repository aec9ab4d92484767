"""A target given from Python: any object that answers probabilities."""

from typing import Literal

from pydantic import Field

from umbrameter.targets.external import ExternalTarget


class GivenTarget(ExternalTarget):
    """A fitted classifier handed to the audit as a Python object: scikit-learn's, skorch's, Keras's, one's own.

    Examples
    --------
    >>> GivenTarget(name="churn model").kind
    'object'
    """

    kind: Literal["object"] = Field("object", description="A Python object, handed over with the spec.")
    name: str = Field("the model", min_length=1, description="What it is called in reports.")
