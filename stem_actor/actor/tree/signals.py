"""The signals that supervisor and worker use between them."""

from __future__ import annotations

import signal
from typing import Final

__all__ = ["LAST_WORDS_SIGNAL", "SOFT_SIGNAL"]

#: Interrupts a start. A real-time signal that libraries leave alone; SIGALRM, SIGTERM
#: and SIGUSR1/2 are users'.
SOFT_SIGNAL: Final = int(signal.SIGRTMIN) + 3
#: Has the interpreter write every thread's stack to the worker's last words.
LAST_WORDS_SIGNAL: Final = int(signal.SIGRTMIN) + 4
