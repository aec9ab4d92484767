"""Read a pickle from its opcodes, so that nothing in it is ever run.

Belongs here: the pixels and classes of the CIFAR archives for Python. Numbers and strings are picked out of the list of
opcodes, and whatever an unpickler would look up or call is skipped.
"""

import pickletools
from typing import IO, Any

import numpy as np

from umbrameter.typing import Array, Ints

INTEGERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}

WITHIN_LIST = {"EMPTY_LIST", "LIST", "MARK", "APPEND", "APPENDS", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
"""Opcodes that may stand between the numbers of a list."""


def pixels_and_classes(file: IO[bytes], key: str, least: int) -> tuple[Array, Ints]:
    """Return the one large string of a pickled dictionary as bytes, and the integers of the list under a key.

    Parameters
    ----------
    file
        The pickle, of any protocol.
    key
        The key of the list, such as `labels`.
    least
        Number of bytes from which on a string counts as large.

    Raises
    ------
    ValueError
        When it is no pickle, ends early, or does not hold one such string and one such list.
    """
    large: list[Any] = []
    classes: list[int] = []
    within = False
    try:
        for opcode, value, _ in pickletools.genops(file):
            if isinstance(value, str | bytes | bytearray):
                within = value in (key, key.encode())
                large += [value] if len(value) >= least else []
            elif within and isinstance(value, int) and opcode.name in INTEGERS:
                classes.append(value)
            elif opcode.name not in WITHIN_LIST:
                within = False
    except (MemoryError, OverflowError):
        raise ValueError("it declares more bytes than there can be") from None
    if len(large) != 1 or not classes:
        raise ValueError(f"it holds {len(large)} strings of {least} bytes or more and {len(classes)} {key}")
    # Python 2's strings, which are bytes, come out decoded as Latin-1.
    content = large[0].encode("latin-1") if isinstance(large[0], str) else large[0]
    return np.frombuffer(content, np.uint8), np.array(classes)
