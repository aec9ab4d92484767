"""Which results a report shows, and in which order.

Belongs here: choosing among results. Does not belong here: conclusions from them (`recommendation`), or words (`text`).
"""

from collections.abc import Iterable

from umbrameter.report.model import Result
from umbrameter.report.recommendation import measured_auc
from umbrameter.report.text import mitigation_name


def by_mitigation(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the results by mitigation: first `none`, then in the order given."""
    grouped: dict[str, list[Result]] = {"none": []}
    for result in results:
        grouped.setdefault(mitigation_name(result), []).append(result)
    return {name: group for name, group in grouped.items() if group}


def stronger(results: Iterable[Result]) -> list[Result]:
    """Return the stronger attacker's result for each attack and mitigation, by AUC, in the order given.

    If an AUC was not measured, that is the adaptive attacker's, which comes first.
    """
    best: dict[tuple[str, str | None], Result] = {}
    for result in results:
        strongest_yet = best.setdefault((result.attack, result.mitigation), result)
        old, new = measured_auc(strongest_yet), measured_auc(result)
        if old is not None and new is not None and new.value > old.value:
            best[result.attack, result.mitigation] = result
    return list(best.values())


def strongest(results: Iterable[Result], most: int = 3) -> list[Result]:
    """Return the results with the highest AUC on the unmitigated target, the strongest first.

    Parameters
    ----------
    results
        The results of a report.
    most
        The largest number to return.
    """
    # `-i`: among equal AUCs the first in the report wins.
    unmitigated = [
        (auc.value, -i, r) for i, r in enumerate(results) if r.mitigation is None and (auc := measured_auc(r))
    ]
    return [result for _, _, result in sorted(unmitigated, key=lambda entry: entry[:2], reverse=True)[:most]]
