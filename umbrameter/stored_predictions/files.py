"""Open the files of an audit of stored predictions, and say all that is wrong with them at once."""

from umbrameter.errors import DataError
from umbrameter.predictions.checks import PREDICTIONS
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.records.parquet import refuse
from umbrameter.spec.score import ScoreSpec


def open_files(
    predictions: str, shadow: str | None, spec: ScoreSpec, rounded: bool = False
) -> tuple[StoredPredictions, StoredPredictions | None]:
    """Open a target's predictions and the shadow models', if there are any.

    Parameters
    ----------
    predictions, shadow
        Paths of the files or folders.
    spec
        The names of columns and the scale of answers, which both share.
    rounded
        Whether answers need not sum to 1.

    Raises
    ------
    DataError
        When one of the two cannot be read, or lacks a column; with all that is wrong with both.
    """
    names = {"PREDICTIONS": predictions} | ({} if shadow is None else {"--shadow": shadow})
    opened, faults = [], []
    for name, path in names.items():
        try:
            opened.append(
                StoredPredictions(path, name, rounded, spec.columns, spec.answers, is_shadow=name == "--shadow")
            )
        except DataError as error:
            faults.append(str(error))
    refuse(faults, PREDICTIONS)
    return opened[0], opened[1] if shadow is not None else None
