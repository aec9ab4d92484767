"""A target that is a model file in skops format."""

import hashlib
from typing import ClassVar, Literal

from pydantic import Field

from umbrameter.errors import TargetError
from umbrameter.estimators import read_bytes
from umbrameter.mitigations import as_settings
from umbrameter.persistence import read_model
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.base import QueriedTarget
from umbrameter.targets.columns import Columns
from umbrameter.targets.connection import Connection, ConnectionContext


class FileTarget(QueriedTarget):
    """A fitted classifier in a skops file, which loads without running code from it.

    Examples
    --------
    >>> FileTarget(path="model.skops").trusted
    False
    """

    brings_recipe: ClassVar[bool] = True

    kind: Literal["file"] = Field("file", description="A fitted model in a skops file.")
    path: str = Field(min_length=1, description="The file: `skops.io.dump(model, 'model.skops')`.")
    trusted: bool = Field(False, description="Whether types in the file that skops does not know may be made.")

    def connect(self, context: ConnectionContext) -> Connection:
        """Load the model.

        Raises
        ------
        TargetError
            When the file is missing, damaged, a pickle or not trusted, or holds no classifier.
        DataError
            When the model's classes are not those of the data.
        """
        where, records = f"target.path={self.path!r}", context.records
        try:
            content = read_bytes(self.path, where)
            classifier = read_model(content, where, self.trusted)
        except ValueError as error:
            raise TargetError(str(error)) from None
        model = Adapted(classifier, Columns.of(records), records.classes, self.labels, self.answers, where)
        facts = {
            "kind": self.kind,
            "digest": hashlib.sha256(content).hexdigest(),  # not the path: a file may be moved, or replaced
            "answers": as_settings(self.answers),
            "labels": self.labels and [*self.labels],
            **({"other_classes": model.other_classes} if model.other_classes else {}),
        }
        return Connection(facts, f"{type(classifier).__name__} in {self.path.rpartition('/')[2]}", model)
