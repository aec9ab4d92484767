"""Attacks written as loops over single records, as in their papers."""

import math

import numpy as np
from scipy.stats import norm


def logit(p, y):
    others = math.fsum(float(v) for i, v in enumerate(p) if i != y)
    return math.log(max(float(p[y]), 1e-38)) - math.log(max(others, 1e-38))


def lira(s, logits, is_in, online, per_record):
    """Carlini et al. (2022), algorithm 1, with unbiased variances; pooled over records unless `per_record`."""
    scores = []
    pooled = [_pooled(logits, side) for side in (is_in, ~is_in)]
    for r in range(len(s)):
        own_in, own_out = logits[is_in[:, r], r], logits[~is_in[:, r], r]
        sd_in, sd_out = pooled
        if per_record:
            sd_in, sd_out = np.std(own_in, ddof=1), np.std(own_out, ddof=1)
        if online:
            scores.append(norm.logpdf(s[r], own_in.mean(), sd_in) - norm.logpdf(s[r], own_out.mean(), sd_out))
        else:
            scores.append(norm.ppf(norm.cdf(s[r], own_out.mean(), sd_out)))
    return np.array(scores)


def _pooled(logits, side):
    squares = [(logits[side[:, r], r] - logits[side[:, r], r].mean()) ** 2 for r in range(logits.shape[1])]
    return np.sqrt(sum(q.sum() for q in squares) / sum(len(q) - 1 for q in squares))


def rmia(s, logits, is_in, online, a, gamma):
    """Zarifzadeh et al. (2024), algorithm 1: every record x against every record z."""
    n = len(s)

    def confidence(value):
        return 1 / (1 + math.exp(-value))

    ratios = []
    for r in range(n):
        p_out = np.mean([confidence(v) for v in logits[~is_in[:, r], r]])
        if online:
            p = (p_out + np.mean([confidence(v) for v in logits[is_in[:, r], r]])) / 2
        else:
            p = ((1 + a) * p_out + (1 - a)) / 2
        ratios.append(confidence(s[r]) / p)
    return np.array([np.mean([ratios[x] / ratios[z] >= gamma for z in range(n)]) for x in range(n)])


def entropy(p):
    return sum(v * math.log(v) for v in map(float, p) if v > 0)


def modified_entropy(p, y):
    total = (1 - float(p[y])) * math.log(float(p[y]))
    return total + sum(float(v) * math.log(1 - float(v)) for i, v in enumerate(p) if i != y and v > 0)
