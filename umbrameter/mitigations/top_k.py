"""Top k: only the k largest confidences are answered (Shokri et al. 2017, section IX, "restrict to top k classes")."""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import PostHoc
from umbrameter.typing import Floats


class TopK(PostHoc):
    """Keep the k largest confidences, set the rest to zero; of equal ones the earlier class is kept.

    Examples
    --------
    >>> import numpy as np
    >>> TopK(k=1).transform(np.array([[0.2, 0.7, 0.1]]))
    array([[0. , 0.7, 0. ]])
    """

    kind: Literal["top_k"] = Field("top_k", description="Only the k largest confidences are answered.")
    k: int = Field(ge=1, description="How many; at most the number of classes.")

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"top_k({self.k})"

    def transform(self, predictions: Floats) -> Floats:
        """Return the vectors with all but the k largest confidences set to zero.

        Raises
        ------
        SpecError
            When k exceeds the number of classes.
        """
        n_classes = predictions.shape[1]
        if self.k > n_classes:
            raise SpecError(f"top_k.k={self.k} is more than the {n_classes} classes there are; lower it")
        kept = np.argsort(-predictions, axis=1, kind="stable")[:, : self.k]
        out = np.zeros_like(predictions)
        np.put_along_axis(out, kept, np.take_along_axis(predictions, kept, axis=1), axis=1)
        return out
