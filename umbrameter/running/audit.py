"""The audit, from records to a report: the order of its stages, whatever carries it out."""

from typing import Any

from umbrameter.running import preparation, reporting, stages
from umbrameter.running.refusals import all_at_once
from umbrameter.running.session import Session


def run_audit(session: Session, model: Any = None, tracking_uri: str | None = None) -> str:
    """Run an audit and return its run folder, relative to the root.

    Parameters
    ----------
    session
        The audit's spec and what carries it out.
    model
        The fitted classifier, for a target of kind `object`.
    tracking_uri
        MLflow's address, for a target that is registered there and does not name one.
    """
    with all_at_once(session.spec, lambda: preparation.located(session)):
        records = preparation.prepare_records(session)
        splits = preparation.split_records(session, records)
    preparation.announce_limits(session, splits)
    with preparation.connect_target(session, records, splits, model, tracking_uri) as connection:
        variants = preparation.plan_audit(session, records, splits, connection)
        preparation.announce_queries(session, variants, connection)
        stages.train_targets(session, variants)
        stages.query_targets(session, variants, connection)
        unusable = stages.draw_shadow_records(session, variants, connection)
        if unusable:
            # Planned again without the attacks on shadow data with too few records.
            variants = preparation.plan_audit(session, records, splits, connection, unusable)
        preparation.verify_unchanged(session, variants, connection)
        stages.fit_shadow_models(session, variants)
        stages.merge_attack_data(session, variants)
        stages.guard_answers(session, variants)
        stages.gather_references(session, variants)
        stages.fit_attack_models(session, variants)
        stages.score_records(session, variants)
        stages.evaluate_attacks(session, variants)
        stages.check_controls(session, variants)
        return reporting.write_report(session, variants, connection)
