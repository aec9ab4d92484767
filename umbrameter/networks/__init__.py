"""Fast neural networks with the scikit-learn interface, in float32, mainly for shadow models.

They need `pip install 'umbrameter[networks]'`. Importing this package loads neither JAX nor numba; training does.
"""

from umbrameter.networks.base import all_networks
from umbrameter.networks.cnn import CNNClassifier
from umbrameter.networks.engine import on_gpu
from umbrameter.networks.mlp import MLPClassifier
from umbrameter.networks.side_by_side import StackedMLP, fit_side_by_side

__all__ = ["CNNClassifier", "MLPClassifier", "StackedMLP", "all_networks", "fit_side_by_side", "on_gpu"]
