"""Algorithm 1 of Shokri et al. (2017) as published: one search, one record, one feature at a time."""

from collections.abc import Callable
from math import ceil, floor

import numpy as np

from umbrameter.records.reader import Domain
from umbrameter.shadow_data.search import Search
from umbrameter.typing import Array, Floats, Ints

MASK = 2**64 - 1


class SplitMix64:
    """Steele, Lea, Flood (2014), figure 16, on Python's integers."""

    def __init__(self, seed: int):
        self.state = int(seed)

    def bits(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        return (self.bits() >> 11) / 2**53


def randomised(record: list[float], k: int, order: list[int], stream: SplitMix64, domain: Domain) -> list[float]:
    """Return a record with k features anew; `order` stays shuffled from one call to the next."""
    record = list(record)
    for i in range(k):
        j = i + floor(stream.uniform() * (len(order) - i))
        order[i], order[j] = order[j], order[i]
        f, u = order[i], stream.uniform()
        low, high = float(domain.low[f]), float(domain.high[f])
        value = low + floor(u * (high - low + 1)) if domain.is_whole[f] else low + u * (high - low)
        record[f] = float(np.float32(value))
    return record


def algorithm_1(
    ask: Callable[[Floats], Floats], label: int, seed: int, domain: Domain, how: Search
) -> tuple[list[float], bool, int]:
    """Return the best record, whether it is returned as found, and the queries that it took."""
    n = len(domain.low)
    stream, order = SplitMix64(seed), list(range(n))
    x = randomised([0.0] * n, n, order, stream, domain)
    best, best_confidence, rejects, k = x, np.float32(0), 0, min(how.k_max, n)
    for query in range(1, how.iter_max + 1):
        y = ask(np.array([x], dtype=np.float32))[0]
        if y[label] >= best_confidence:
            if y[label] > np.float32(how.conf_min) and label == np.argmax(y) and stream.uniform() < y[label]:
                return x, True, query
            best, best_confidence, rejects = x, y[label], 0
        else:
            rejects += 1
            if rejects > how.rej_max:
                k, rejects = min(n, max(how.k_min, ceil(k / 2))), 0
        x = randomised(best, k, order, stream, domain)
    return best, False, how.iter_max


def one_at_a_time(
    ask: Callable[[Floats], Floats], classes: Ints, seeds: Array, domain: Domain, how: Search
) -> tuple[Floats, list[bool], list[int]]:
    """Return the records, whether each was found, and the queries of each search."""
    ended = [algorithm_1(ask, int(label), int(seed), domain, how) for label, seed in zip(classes, seeds, strict=True)]
    records, is_found, queries = zip(*ended, strict=True)
    return np.array(records, dtype=np.float32), list(is_found), list(queries)
