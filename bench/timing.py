"""Time alternatives in turn, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

_PAUSE = 0.02


def time_in_turn(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each contender.

    Each contender runs once for warming up. Then all of them run in turn, for a number of rounds.
    """
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            # For a while, the threads of the previous contender wait busily for more work.
            time.sleep(_PAUSE)
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}
