"""Convolutions on a CPU, as matrix products over patches (im2col), a few images at a time.

The patches of a few images fit in the cache, those of a whole batch would not. Arrays have the axes image, row, column,
channel.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from umbrameter.networks.cpu_kernels import aligned, fast, times_slopes
from umbrameter.typing import Floats, Ints

CHUNK = 5
"""Images whose patches are held at once."""


@fast
def take_patches(padded, kernel, out):  # type: ignore[no-untyped-def]
    """Copy the square of `kernel` by `kernel` pixels that begins at each pixel into a row of `out`.

    Parameters
    ----------
    padded
        Images with a border, shape (n, height + kernel - 1, width + kernel - 1, channels).
    kernel
        Height and width of a patch.
    out
        Receives the patches, shape (n * height * width, kernel ** 2 * channels).
    """
    n, rows, columns, channels = padded.shape
    flat, width, patch = padded.reshape(-1), kernel * channels, 0
    for image in range(n):
        for i in range(rows - kernel + 1):
            for j in range(columns - kernel + 1):
                for a in range(kernel):
                    start = ((image * rows + i + a) * columns + j) * channels
                    for k in range(width):
                        out[patch, a * width + k] = flat[start + k]
                patch += 1


@fast
def add_patches(patches, kernel, out):  # type: ignore[no-untyped-def]
    """Sum patches back into padded images: the gradient of `take_patches`.

    Parameters
    ----------
    patches, kernel
        Patches as `take_patches` returns them, and their height and width.
    out
        Receives the images with their border; see `padded` of `take_patches`.
    """
    n, rows, columns, channels = out.shape
    flat, width, patch = out.reshape(-1), kernel * channels, 0
    flat[:] = 0
    for image in range(n):
        for i in range(rows - kernel + 1):
            for j in range(columns - kernel + 1):
                for a in range(kernel):
                    start = ((image * rows + i + a) * columns + j) * channels
                    for k in range(width):
                        flat[start + k] += patches[patch, a * width + k]
                patch += 1


@fast
def max_pool(x, biases, out, which):  # type: ignore[no-untyped-def]
    """Take the largest pixel of each 2 by 2 square, plus the bias, and note which it was; of equal ones, the first.

    Parameters
    ----------
    x
        Images, shape (n, height, width, channels); an odd last row or column is left out.
    biases
        Shape (channels,).
    out
        Receives the largest pixels, shape (n, height // 2, width // 2, channels).
    which
        Receives the place of each within its square, 0 to 3, row by row; uint8, of `out`'s shape.
    """
    n, rows, columns, channels = out.shape
    for image in range(n):
        for i in range(rows):
            for j in range(columns):
                a, b = x[image, 2 * i, 2 * j], x[image, 2 * i, 2 * j + 1]
                c, d = x[image, 2 * i + 1, 2 * j], x[image, 2 * i + 1, 2 * j + 1]
                o, w = out[image, i, j], which[image, i, j]
                for f in range(channels):
                    largest, place = a[f], np.uint8(0)
                    # `>` and not `>=`: of equal pixels the first one gets the gradient, as in torch.
                    if b[f] > largest:
                        largest, place = b[f], np.uint8(1)
                    if c[f] > largest:
                        largest, place = c[f], np.uint8(2)
                    if d[f] > largest:
                        largest, place = d[f], np.uint8(3)
                    o[f], w[f] = largest + biases[f], place


@fast
def unpool(errors, which, out):  # type: ignore[no-untyped-def]
    """Pass each error to the pixel that was the largest of its square, and 0 to the others.

    Parameters
    ----------
    errors, which
        Gradient by the pooled images, and the places that `max_pool` noted.
    out
        Receives the gradient by the images before the pool.
    """
    n, rows, columns, channels = errors.shape
    if out.shape[1] % 2 or out.shape[2] % 2:  # an odd last row or column is in no square
        out[:] = 0
    for image in range(n):
        for i in range(rows):
            for j in range(columns):
                e, w = errors[image, i, j], which[image, i, j]
                for place in range(4):
                    o = out[image, 2 * i + place // 2, 2 * j + place % 2]
                    for f in range(channels):
                        o[f] = e[f] if w[f] == place else np.float32(0)


class Convolution:
    """One convolution with its bias and max-pooling, for up to `CHUNK` images at a time.

    Parameters
    ----------
    image
        Height, width and channels of an input image.
    kernel
        Height and width of a filter; images are padded and keep their size.
    filters
        Number of filters, which are the output's channels.
    """

    def __init__(self, image: tuple[int, int, int], kernel: int, filters: int):
        height, width, channels = image
        before = (kernel - 1) // 2  # of an odd border the larger half comes last, as in JAX's "SAME"
        self._inner = (slice(None), slice(before, before + height), slice(before, before + width))
        self._kernel, self._n_pixels = kernel, height * width
        self._padded = aligned(CHUNK, height + kernel - 1, width + kernel - 1, channels)
        self._patches = aligned(CHUNK * height * width, kernel**2 * channels)
        self._sums = aligned(CHUNK, height, width, filters)
        self.pooled = (height // 2, width // 2, filters)

    def forward(self, x: Floats, weights: Floats, biases: Floats, out: Floats, which: Ints) -> None:
        """Convolve and pool images.

        Parameters
        ----------
        x
            Up to `CHUNK` images.
        weights, biases
            Shapes (kernel ** 2 * channels, filters) and (filters,).
        out, which
            Receive the pooled sums and the places of the largest; see `max_pool`.
        """
        sums = self._sums[: len(x)]
        np.matmul(self._taken(x), weights, out=self._flat(sums))
        max_pool(sums, biases, out, which)

    def gradient(self, x: Floats, errors: Floats, which: Ints, by_weights: Floats) -> None:
        """Add to the gradient by the weights.

        Parameters
        ----------
        x, which
            The images, and the places that `forward` noted for them.
        errors
            Gradient by the pooled sums.
        by_weights
            The gradient to add to.
        """
        unpool(errors, which, self._sums[: len(x)])
        by_weights += self._taken(x).T @ self._flat(self._sums[: len(x)])

    def errors_before(self, n: int, weights: Floats) -> Floats:
        """Return the gradient by the `n` images of the last call of `gradient`."""
        rows = self._patches[: n * self._n_pixels]
        np.matmul(self._flat(self._sums[:n]), weights.T, out=rows)
        add_patches(rows, self._kernel, self._padded[:n])
        errors = self._padded[self._inner][:n].copy()
        self._padded[:] = 0  # the next images need a border of zeros
        return errors

    def _taken(self, x: Floats) -> Floats:
        self._padded[self._inner][: len(x)] = x
        rows = self._patches[: len(x) * self._n_pixels]
        take_patches(self._padded[: len(x)], self._kernel, rows)
        return rows

    @staticmethod
    def _flat(x: Floats) -> Floats:
        return x.reshape(-1, x.shape[-1])


class Images:
    """The first three layers on images: two convolutions and the fully connected layer after them.

    Parameters
    ----------
    X
        Pixels, float32, shape (n_records, height * width * channels).
    image, filters, kernel, pixel_max, activation
        See `CNNClassifier`.
    """

    n_layers = 3

    def __init__(
        self,
        X: Floats,
        image: Sequence[int],
        filters: Sequence[int],
        kernel: int,
        pixel_max: float,
        activation: str,
    ):
        height, width, channels = image
        self._images, self._scale = X.reshape(-1, height, width, channels), np.float32(2 / pixel_max)
        self._tanh = activation == "tanh"
        one = Convolution((height, width, channels), kernel, filters[0])
        self._convolutions = one, Convolution(one.pooled, kernel, filters[1])

    def forward(self, rows: Ints, weights: Sequence[Floats], biases: Sequence[Floats], out: Floats) -> None:
        """Set `out` to the inputs of the fully connected units.

        Parameters
        ----------
        rows, weights, biases, out
            See `FirstLayers.forward`.
        """
        self._seen = [self._images[rows[0]] * self._scale - 1]
        self._which = []
        for convolution, w, b in zip(self._convolutions, weights, biases, strict=False):
            x = self._seen[-1]
            pooled = np.empty((len(x), *convolution.pooled), np.float32)
            which = np.empty(pooled.shape, np.uint8)
            for part in _parts(len(x)):
                convolution.forward(x[part], w[0], b[0], pooled[part], which[part])
            # After the pool, which leaves a quarter of the values: activations rise, so the order does not matter.
            self._seen.append(np.tanh(pooled, out=pooled) if self._tanh else np.maximum(pooled, 0, out=pooled))
            self._which.append(which)
        np.matmul(pooled.reshape(len(pooled), -1), weights[2][0], out=out[0])
        out += biases[2][:, None]

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradients for the images of the last `forward`.

        Parameters
        ----------
        errors, weights, by_weights, by_biases
            See `FirstLayers.gradient`.
        """
        x = self._seen[-1]
        np.matmul(x.reshape(len(x), -1).T, errors[0], out=by_weights[2][0])
        e = (errors[0] @ weights[2][0].T).reshape(x.shape)
        for i in (1, 0):
            convolution, which, x, units = self._convolutions[i], self._which[i], self._seen[i], self._seen[i + 1]
            times_slopes(e.reshape(len(e), -1, e.shape[3]), units.reshape(len(e), -1, e.shape[3]), self._tanh)
            by_biases[i][0] = e.sum(axis=(0, 1, 2))
            by_weights[i][0] = 0
            before = []
            for part in _parts(len(x)):
                convolution.gradient(x[part], e[part], which[part], by_weights[i][0])
                if i:  # nothing is trained before the first convolution
                    before.append(convolution.errors_before(len(x[part]), weights[i][0]))
            e = np.concatenate(before) if i else e


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        yield slice(start, min(start + CHUNK, n))
