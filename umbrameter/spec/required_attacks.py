"""The attacks that every mitigation must face."""

from collections.abc import Sequence

from umbrameter.attacks import AnyAttack, Confidence, Gap
from umbrameter.mitigations import Mitigation


def required_attacks(
    attacks: tuple[AnyAttack, ...], mitigations: Sequence[Mitigation], has_shadows: bool = True
) -> tuple[AnyAttack, ...]:
    """Return a spec's attacks; with mitigations, at least one with per-class thresholds and one on labels alone.

    A mitigation that stops the attacks it was designed against may still fail against these.

    Parameters
    ----------
    attacks, mitigations
        Those of the spec.
    has_shadows
        Whether there are shadow models, on which per-class thresholds could be set.

    References
    ----------
    Song, Mittal (2021), arXiv 2003.10595, section 5: per-class thresholds undo what MemGuard seems to achieve.

    Examples
    --------
    >>> from umbrameter.attacks import Loss
    >>> from umbrameter.mitigations import TopK
    >>> [attack.label for attack in required_attacks((Loss(),), [TopK(1)])]
    ['loss', 'confidence', 'gap']
    """
    if not mitigations:
        return attacks
    by_class = () if not has_shadows or any(attack.has_class_thresholds for attack in attacks) else (Confidence(),)
    by_label = () if any(not attack.uses_confidences for attack in attacks) else (Gap(),)
    return (*attacks, *by_class, *by_label)
