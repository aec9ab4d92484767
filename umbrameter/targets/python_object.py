"""A target passed from Python: any object that returns probabilities."""

import uuid
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import TargetError
from umbrameter.mitigations import as_settings
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.base import QueriedTarget
from umbrameter.targets.columns import Columns
from umbrameter.targets.connection import Connection, ConnectionContext, MutableConnection, identify


class GivenTarget(QueriedTarget):
    """A fitted classifier passed to the audit as a Python object: from scikit-learn, skorch, Keras or your own code.

    Examples
    --------
    >>> GivenTarget(name="churn model").kind
    'object'
    """

    brings_recipe: ClassVar[bool] = True

    kind: Literal["object"] = Field("object", description="A Python object, passed along with the spec.")
    name: str = Field("the model", min_length=1, description="Its name in reports.")

    def connect(self, context: ConnectionContext) -> Connection:
        """Connect to the object and ask it about the canaries.

        Raises
        ------
        TargetError
            When no object was passed, or it does not answer.
        DataError
            When its classes are not those of the data.
        """
        if context.model is None:
            raise TargetError(
                "target.kind=object: no object was passed; pass it with audit(spec, model=ModelHandle(classifier))"
            )
        records = context.records
        model = Adapted(context.model, Columns.of(records), records.classes, self.labels, self.answers, self.name)
        facts = {
            "kind": self.kind,
            "name": self.name,
            "answers": as_settings(self.answers),
            "labels": self.labels and [*self.labels],
            **({"other_classes": model.other_classes} if model.other_classes else {}),
            "run": uuid.uuid4().hex,  # an object cannot be recognised, and asking again costs nothing
        }
        answers = np.asarray(model.predict_proba(context.canaries), dtype=np.float32)
        identity = identify(context.store, facts, context.canaries, answers)
        return MutableConnection(identity, self.name, model, context.store, context.canaries)
