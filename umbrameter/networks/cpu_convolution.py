"""The convolutions of a network on a CPU: matrix products over patches (im2col), some images at a time.

The patches of few images stay in the cache, which a whole batch's would not. Arrays are (image, row, column, channel).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from umbrameter.networks.cpu_kernels import aligned, fast, times_slopes
from umbrameter.typing import Floats, Ints

CHUNK = 5
"""Images whose patches are held at once."""


@fast
def take_patches(padded, kernel, out):  # type: ignore[no-untyped-def]
    """Set each row of `out` to the square of `kernel` by `kernel` pixels that begins at a pixel of a padded image."""
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
    """Add patches up to padded images: the gradient of `take_patches`."""
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
    """Take the largest of each 2 by 2 square, plus the bias, and note which it was; of equal ones, the first."""
    n, rows, columns, channels = out.shape
    for image in range(n):
        for i in range(rows):
            for j in range(columns):
                a, b = x[image, 2 * i, 2 * j], x[image, 2 * i, 2 * j + 1]
                c, d = x[image, 2 * i + 1, 2 * j], x[image, 2 * i + 1, 2 * j + 1]
                o, w = out[image, i, j], which[image, i, j]
                for f in range(channels):
                    largest, place = a[f], np.uint8(0)
                    if b[f] > largest:
                        largest, place = b[f], np.uint8(1)
                    if c[f] > largest:
                        largest, place = c[f], np.uint8(2)
                    if d[f] > largest:
                        largest, place = d[f], np.uint8(3)
                    o[f], w[f] = largest + biases[f], place


@fast
def unpool(errors, which, out):  # type: ignore[no-untyped-def]
    """Give each error to the pixel that was the largest of its square, and nothing to the others."""
    n, rows, columns, channels = errors.shape
    if out.shape[1] % 2 or out.shape[2] % 2:
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
    """One convolution with its bias and pool, of `CHUNK` images at a time at most.

    Parameters
    ----------
    image
        Height, width and channels of what comes in.
    kernel
        Height and width of the convolution, which keeps an image's size.
    filters
        Channels of what goes out.
    """

    def __init__(self, image: tuple[int, int, int], kernel: int, filters: int):
        height, width, channels = image
        before = (kernel - 1) // 2
        self._inner = (slice(None), slice(before, before + height), slice(before, before + width))
        self._kernel, self._n_pixels = kernel, height * width
        self._padded = aligned(CHUNK, height + kernel - 1, width + kernel - 1, channels)
        self._patches = aligned(CHUNK * height * width, kernel**2 * channels)
        self._sums = aligned(CHUNK, height, width, filters)
        self.pooled = (height // 2, width // 2, filters)

    def forward(self, x: Floats, weights: Floats, biases: Floats, out: Floats, which: Ints) -> None:
        """Set `out` to the pooled sums of some images, and `which` to the places of the largest."""
        sums = self._sums[: len(x)]
        np.matmul(self._taken(x), weights, out=self._flat(sums))
        max_pool(sums, biases, out, which)

    def gradient(self, x: Floats, errors: Floats, which: Ints, by_weights: Floats) -> None:
        """Add to the gradient by the weights; `errors` are those of the pooled sums."""
        unpool(errors, which, self._sums[: len(x)])
        by_weights += self._taken(x).T @ self._flat(self._sums[: len(x)])

    def errors_before(self, n: int, weights: Floats) -> Floats:
        """Return the gradient by the `n` images of the last `gradient`."""
        rows = self._patches[: n * self._n_pixels]
        np.matmul(self._flat(self._sums[:n]), weights.T, out=rows)
        add_patches(rows, self._kernel, self._padded[:n])
        errors = self._padded[self._inner][:n].copy()
        self._padded[:] = 0
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
    """Images, and the work of two convolutions and the layer after them on some of the images at a time.

    Parameters
    ----------
    X
        Pixels, float32, shape (n_records, height * width * channels).
    image, filters, kernel, pixel_max, activation
        As of `CNNClassifier`.
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
        """Set `out` to the fully connected units' inputs."""
        self._seen = [self._images[rows[0]] * self._scale - 1]
        self._which = []
        for convolution, w, b in zip(self._convolutions, weights, biases, strict=False):
            x = self._seen[-1]
            found = np.empty((len(x), *convolution.pooled), np.float32)
            which = np.empty(found.shape, np.uint8)
            for part in _parts(len(x)):
                convolution.forward(x[part], w[0], b[0], found[part], which[part])
            self._seen.append(np.tanh(found, out=found) if self._tanh else np.maximum(found, 0, out=found))
            self._which.append(which)
        np.matmul(found.reshape(len(found), -1), weights[2][0], out=out[0])
        out += biases[2][:, None]

    def gradient(
        self, errors: Floats, weights: Sequence[Floats], by_weights: Sequence[Floats], by_biases: Sequence[Floats]
    ) -> None:
        """Set the gradients of the images of the last `forward`."""
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
                if i:
                    before.append(convolution.errors_before(len(x[part]), weights[i][0]))
            e = np.concatenate(before) if i else e


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        yield slice(start, min(start + CHUNK, n))
