"""Ctrl-C ends a command wherever it is."""

import _thread
import signal
import sys
import threading
from typing import NoReturn


def heed_ctrl_c() -> None:
    """Let no Ctrl-C be lost: in a destructor or a garbage collector's callback, Python only reports it and goes on."""

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    def once_more(ignored: "sys.UnraisableHookArgs") -> None:
        if ignored.exc_type is KeyboardInterrupt:
            threading.Timer(0.1, _thread.interrupt_main).start()  # right now it would be lost in here, too
        else:
            sys.__unraisablehook__(ignored)

    signal.signal(signal.SIGINT, interrupt)  # an event loop replaces Python's own handler, and may swallow Ctrl-C
    sys.unraisablehook = once_more
