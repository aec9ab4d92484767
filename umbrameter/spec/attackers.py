"""The attacks that every mitigation has to face."""

from collections.abc import Sequence

from umbrameter.attacks import AnyAttack, Confidence, Gap, LabelOnly
from umbrameter.attacks.pointwise import ClassThresholds
from umbrameter.mitigations import Mitigation


def attackers(attacks: tuple[AnyAttack, ...], mitigations: Sequence[Mitigation]) -> tuple[AnyAttack, ...]:
    """Return attacks, with mitigations at least one with thresholds a class and one that sees labels alone.

    A mitigation that stops the attacks it was made against says little of others.

    References
    ----------
    Song, Mittal (2021), arXiv 2003.10595, section 5: such thresholds undo what MemGuard seems to achieve.

    Examples
    --------
    >>> from umbrameter.attacks import Loss
    >>> from umbrameter.mitigations import TopK
    >>> [attack.label for attack in attackers((Loss(),), [TopK(1)])]
    ['loss', 'confidence', 'gap']
    """
    if not mitigations:
        return attacks
    by_class = any(isinstance(attack, ClassThresholds) and attack.per_class for attack in attacks)
    by_label = any(isinstance(attack, Gap | LabelOnly) for attack in attacks)
    return (*attacks, *(() if by_class else (Confidence(),)), *(() if by_label else (Gap(),)))
