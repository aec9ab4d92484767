"""Top k: answer with the k largest confidences only (Shokri et al. 2017, section IX, "restrict to top k classes")."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import PostHoc
from umbrameter.typing import Floats


class TopK(PostHoc):
    """Keep the k largest confidences, set the rest to zero; in a tie the earlier class is kept.

    Examples
    --------
    >>> import numpy as np
    >>> TopK(k=1).transform(np.array([[0.2, 0.7, 0.1]]))
    array([[0. , 0.7, 0. ]])
    """

    breaks_sums: ClassVar[bool] = True
    kind: Literal["top_k"] = Field("top_k", description="Answers that hold the k largest confidences only.")
    k: int = Field(ge=1, description="How many confidences to keep; at most the number of classes.", examples=[3])
    renormalise: bool = Field(False, description="Whether the kept confidences are scaled to sum to 1.")

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"top_k({self.k}{', renormalised' if self.renormalise else ''})"

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
        least = np.partition(predictions, n_classes - self.k, axis=1)[:, [n_classes - self.k]]
        out = np.where(predictions >= least, predictions, 0)
        # where several confidences equal the k-th largest, keep only the first of them
        ties = np.count_nonzero(predictions >= least, axis=1) > self.k
        level = predictions[ties] == least[ties]
        room = self.k - np.count_nonzero(predictions[ties] > least[ties], axis=1, keepdims=True)
        out[ties] = np.where(level & (np.cumsum(level, axis=1) > room), 0, out[ties])
        if self.renormalise:
            total = out.sum(axis=1, keepdims=True)
            out = np.divide(out, total, out=out, where=total > 0)
        return out
