"""Changes of the sample report that several tests make."""


def replace_metric(report, name, metric, **where):
    """Return the report with one figure replaced in the results whose fields are as in `where`."""
    results = [
        r.model_copy(update={"metrics": r.metrics | {name: metric}})
        if all(getattr(r, field) == value for field, value in where.items())
        else r
        for r in report.results
    ]
    return report.model_copy(update={"results": results})
