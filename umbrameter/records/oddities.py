"""Oddities of a table that do not stop an audit, in sentences.

Belongs here: warnings. Does not belong here: what is refused (`faults`).
"""

import numpy as np

from umbrameter.records.encoding import EXACT, Census, Intake
from umbrameter.typing import Array, Bools, Ints


def oddities_of(census: Census, left_out: Bools) -> list[str]:
    """Return what is odd about a table, a sentence each.

    Parameters
    ----------
    census
        Facts about its values.
    left_out
        Which features are left out, shape (n_features,).
    """
    names = np.array(census.intake.feature_names)
    largest = np.maximum(np.abs(census.low), np.abs(census.high))
    constant, empty = names[census.is_constant & ~left_out], census.is_empty
    same = names[left_out & ~empty]
    wide = names[~empty & census.integral & (largest > EXACT) & (census.intake.precision == "float32")]
    used, index = census.intake.columns.used, census.intake.source.index
    unused = np.array([name for name in index if name not in used])
    warnings = []
    if len(unused):
        warnings.append(f"{_listed(unused)} the index of a data frame and no feature")
    if empty.any():
        warnings.append(f"{_listed(names[empty])} without any value, and left out")
    if len(same):
        warnings.append(f"{_listed(same)} the same in every record, and left out")
    if len(constant):
        warnings.append(f"{_listed(constant)} the same in every record, which no model can learn from")
    if len(wide):
        warnings.append(f"{_listed(wide)} beyond 2**24, where float32 rounds integers")
    return warnings + _missing_in_words(census.intake)


def _missing_in_words(intake: Intake) -> list[str]:
    """Return what became of missing values, a sentence per treatment."""
    missing, n_rows, filled = intake.survey.missing, intake.survey.n_rows, [*intake.fills]
    kept = [name for name, n in intake.lacking.items() if name not in intake.fills and n < n_rows]
    own = [name for name in intake.columns.categories if name in missing and missing[name][1] < n_rows]
    treatments = {"stay missing": kept, "are the column's median": filled, "are a category of their own": own}
    return [
        f"missing values {treatment} in {', '.join(f'{name} ({missing[name][1]})' for name in names)}"
        for treatment, names in treatments.items()
        if names
    ]


def _listed(names: Array) -> str:
    shown = ", ".join(names[:5].tolist()) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column{'s' if len(names) > 1 else ''} {shown} {'are' if len(names) > 1 else 'is'}"


def overlaps(first: Ints, part: Ints) -> list[str]:
    """Return warnings about records of one part that repeat records of another.

    Parameters
    ----------
    first
        The first row that each row is equal to, shape (n_rows,).
    part
        Each row's part: 0 member, 1 non-member, 2 pool; shape (n_rows,).
    """
    names = ("members", "non-members", "records of the pool")
    counts = {(a, b): int(((part[first] == a) & (part == b)).sum()) for a, b in ((0, 1), (0, 2), (1, 2))}
    return [f"{n} {names[b]} repeat {names[a]}" for (a, b), n in counts.items() if n]
