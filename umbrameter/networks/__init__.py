"""Fast classifiers with the scikit-learn interface, in float32: what shadow models are made of.

They need the ring `umbrameter[networks]`; importing this package loads neither JAX nor numba, training does.
"""

from umbrameter.networks.base import all_networks, on_gpu
from umbrameter.networks.cnn import CNNClassifier
from umbrameter.networks.mlp import MLPClassifier
from umbrameter.networks.stacked import StackedMLP, fit_side_by_side

__all__ = ["CNNClassifier", "MLPClassifier", "StackedMLP", "all_networks", "fit_side_by_side", "on_gpu"]
