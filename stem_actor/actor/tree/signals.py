"""The signals that supervisor and worker use between them."""

from __future__ import annotations

import signal
from typing import Final

__all__ = ["ALL_WORDS_SIGNAL", "LAST_WORDS_SIGNAL", "SOFT_SIGNAL"]

# They follow one another: a worker unblocks them as a range.
#: Interrupts a start. A real-time signal that libraries leave alone; SIGALRM, SIGTERM
#: and SIGUSR1/2 are users'.
SOFT_SIGNAL: Final = int(signal.SIGRTMIN) + 3
#: Has the interpreter write the stacks, the main thread's first, to the worker's last
#: words.
LAST_WORDS_SIGNAL: Final = int(signal.SIGRTMIN) + 4
#: Follows it within the worker, for the other threads; nobody sends it.
ALL_WORDS_SIGNAL: Final = int(signal.SIGRTMIN) + 5
