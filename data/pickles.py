"""What a pickle holds, read from its opcodes: nothing in it is ever run.

Belongs here: the pixels and the classes of the CIFAR archives made for Python. Its opcodes are walked as a list,
numbers and strings are taken, and whatever an unpickler would look up or call is passed over.
"""

import pickletools
from typing import IO, Any

import numpy as np

from umbrameter.typing import Array, Ints

INTEGERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}

WITHIN_LIST = {"EMPTY_LIST", "LIST", "MARK", "APPEND", "APPENDS", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
"""Opcodes among which the numbers of a list stand."""


def pixels_and_classes(file: IO[bytes], key: str, least: int) -> tuple[Array, Ints]:
    """Return the one large string of a pickled dictionary as bytes, and the integers of the list under a key.

    Parameters
    ----------
    file
        The pickle, of any protocol.
    key
        What the list is called, such as `labels`.
    least
        Bytes from which on a string is large.

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
        raise ValueError("it promises more bytes than there can be") from None
    if len(large) != 1 or not classes:
        raise ValueError(f"it holds {len(large)} strings of {least} bytes or more and {len(classes)} {key}")
    content = large[0].encode("latin-1") if isinstance(large[0], str) else large[0]
    return np.frombuffer(content, np.uint8), np.array(classes)
