"""Random numbers keyed by role and index, not by order of execution: one worker and many give identical bits."""

import zlib

import numpy as np

from umbrameter.typing import Array


def generator(seed: int, role: str, *index: int) -> np.random.Generator:
    """Return the generator of one role and index.

    Parameters
    ----------
    seed
        The audit's seed, 0 or more.
    role
        The purpose of the numbers, such as `"split"`.
    index
        Which one of that role, such as the number of the shadow model.

    Examples
    --------
    >>> int(generator(0, "split").integers(1000)) == int(generator(0, "split").integers(1000))
    True
    """
    return np.random.default_rng(_sequence(seed, role, index))


def integer(seed: int, role: str, *index: int) -> int:
    """Return a 32-bit seed of one role and index, for libraries that take an integer.

    Parameters
    ----------
    seed, role, index
        See `generator`.
    """
    return int(_sequence(seed, role, index).generate_state(1)[0])


def integers(seed: int, role: str, n: int, *index: int) -> Array:
    """Return n 64-bit seeds of one role and index.

    Parameters
    ----------
    seed, role, index
        See `generator`.
    n
        Number of seeds; the first ones do not depend on it.

    Returns
    -------
    uint64, shape (n,).
    """
    return _sequence(seed, role, index).generate_state(n, np.uint64)


def _sequence(seed: int, role: str, index: tuple[int, ...]) -> np.random.SeedSequence:
    # crc32 rather than hash, which Python salts in every process
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(role.encode()), *index))
