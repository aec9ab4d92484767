"""Adam's constants and bias correction, shared by all trainers.

Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", algorithm 1, in the form of the end of section 2,
which is scikit-learn's.
"""

from typing import Any

import numpy as np

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.999), np.float32(1e-8)


def unbiased(step: Any) -> Any:
    """Return the factor on the learning rate that corrects the moments' bias towards zero; the first step is 1."""
    # Literals, since 1 - BETA2 ** step would magnify the rounding of BETA2 to float32.
    return (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
