"""A small convolutional network for images."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from umbrameter.networks.base import NetworkClassifier
from umbrameter.networks.engine import on_gpu
from umbrameter.networks.layers import Layers, glorot
from umbrameter.networks.parameters import Check, each, number, one_of, whole_number
from umbrameter.typing import Array, Floats, Ints


class CNNClassifier(NetworkClassifier):
    """Two convolutions with max-pooling, one fully connected layer and a softmax, trained by Adam.

    Parameters
    ----------
    image
        Height, width and channels of an image; a record is a flattened image.
    filters
        Number of filters of each convolution.
    kernel
        Height and width of a filter; images are padded and keep their size.
    hidden
        Number of units of the fully connected layer.
    activation
        `tanh` or `relu`.
    pixel_max
        The largest pixel value; pixels are scaled from [0, pixel_max] to [-1, 1].
    epochs, batch_size, learning_rate, l2
        See `MLPClassifier`.
    label_smoothing, early_stopping, validation_fraction, patience, random_state
        See `MLPClassifier`.

    References
    ----------
    Shokri et al. (2017), section VI-C: the target on CIFAR, "a standard convolutional neural network with two
    convolution and max pooling layers plus a fully connected layer of size 128 and a SoftMax layer", with tanh.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 60)
    >>> X = rng.uniform(0, 128, (60, 64)) + 100 * y[:, None] * np.eye(8).ravel()
    >>> model = CNNClassifier(image=(8, 8, 1), filters=(4, 4), hidden=8, epochs=30, learning_rate=0.01, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.9
    True
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        **NetworkClassifier.parameter_checks,
        "image": each(whole_number(1), length=3),
        "filters": each(whole_number(1)),
        "kernel": whole_number(1),
        "hidden": whole_number(1),
        "activation": one_of("tanh", "relu"),
        "pixel_max": number(0, ends="neither"),
    }

    asked_at_once: ClassVar[int] = 500

    def __init__(
        self,
        image: tuple[int, int, int] = (32, 32, 3),
        filters: tuple[int, int] = (32, 64),
        kernel: int = 3,
        hidden: int = 128,
        activation: Literal["tanh", "relu"] = "tanh",
        pixel_max: float = 255.0,
        epochs: int = 100,
        batch_size: int | Literal["auto"] = 100,
        learning_rate: float = 0.001,
        l2: float = 0.0,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.image = image
        self.filters = filters
        self.kernel = kernel
        self.hidden = hidden
        self.activation = activation
        self.pixel_max = pixel_max
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    def _checked(self, X: Array, y: Array) -> tuple[Floats, Ints]:
        height, width, channels = self.image
        X, codes = super()._checked(X, y)
        if X.shape[1] != height * width * channels or min(height, width) < 4:
            raise ValueError(
                f"image={tuple(self.image)} does not fit {X.shape[1]} features; give the images' height and width "
                "(4 or more) and channels, whose product is the number of features"
            )
        return X, codes

    def _initial(self, rng: np.random.RandomState) -> Layers:
        height, width, channels = self.image
        area, layers = self.kernel**2, []
        for filters in self.filters:
            layers.append(glorot(rng, area * channels, area * filters, (area * channels, filters)))
            # Each pool halves the image.
            height, width, channels = height // 2, width // 2, filters
        n = height * width * channels
        return [
            *layers,
            glorot(rng, n, self.hidden, (n, self.hidden)),
            glorot(rng, self.hidden, self._n_outputs, (self.hidden, self._n_outputs)),
        ]

    def _network(self) -> Any:
        from umbrameter.networks.jax_convolution import Convolutional

        return Convolutional(tuple(self.image), self.kernel, self.activation, float(self.pixel_max))

    def _first_layers(self, X: Floats, n_networks: int) -> Any:
        from umbrameter.networks.cpu_convolution import Images

        images = Images(X, self.image, self.filters, self.kernel, self.pixel_max, self.activation)
        return images if n_networks == 1 else None  # on a CPU, JAX trains several side by side

    def _answerer(self) -> Callable[[Floats], Floats]:
        layers = list(zip(self.coefs_, self.intercepts_, strict=True))
        if on_gpu():
            from umbrameter.networks.jax_convolution import answerer

            return answerer(self._network(), layers, self.asked_at_once)
        # The first layers expect the network as the first axis.
        *weights, last = [w[None] for w, _ in layers]
        *biases, offsets = [b[None] for _, b in layers]

        def answer(X: Floats) -> Floats:
            inputs = np.empty((1, len(X), self.hidden), np.float32)
            self._first_layers(X, 1).forward(np.arange(len(X))[None], weights, biases, inputs)
            units = np.tanh(inputs[0]) if self.activation == "tanh" else np.maximum(inputs[0], 0)
            return np.asarray(units @ last[0] + offsets[0])

        return answer
