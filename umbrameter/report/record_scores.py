"""Per-record scores, on request: under pseudonyms, in the run's folder, never in MLflow."""

import hmac
import os
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.errors import SpecError
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.steps.scores import read_scores
from umbrameter.store.artefacts import Store

KEY = "UMBRAMETER_RECORD_KEY"
"""The environment variable that holds the secret key of the pseudonyms."""

SHORTEST = 16
"""The smallest number of characters of the secret key."""


def exposure(store: Store, folder: str, key: str) -> bytes:
    """Return the audited records' scores by every attack on the unmitigated target, under pseudonyms.

    Parameters
    ----------
    store
        The store that holds the run.
    folder
        The run's folder, relative to the root.
    key
        The secret key of the pseudonyms.

    Returns
    -------
    bytes
        A Parquet file with columns `record` (HMAC-SHA256 of the record's number, in hexadecimal digits), `label`,
        `is_member`, and `score_<attack>`; sorted by pseudonym, so that the order reveals nothing either.
    """
    measured = read_run_artefacts(store, folder).without_mitigation()
    by_attack = {attack: read_scores(store.open(paths.scores)) for attack, paths in measured.items()}
    first = next(iter(by_attack.values()))
    columns = {
        "record": pa.array([pseudonym(row, key) for row in first.rows.tolist()]),
        "label": pa.array(first.labels),
        "is_member": pa.array(first.is_member),
        **{f"score_{attack}": pa.array(scores.scores) for attack, scores in by_attack.items()},
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns).sort_by("record"), sink)
    return bytes(sink.getvalue())


def pseudonym(record: int, key: str) -> str:
    """Return a record's pseudonym: only someone with the key can tell which record it stands for.

    Examples
    --------
    >>> pseudonym(7, "a secret of some length") == pseudonym(7, "a secret of some length") != pseudonym(7, "another")
    True
    """
    # A plain hash would not do: there are so few record numbers that all can be tried.
    return hmac.new(key.encode(), str(record).encode(), sha256).hexdigest()


def record_key() -> str:
    """Return the secret key from the environment.

    Raises
    ------
    SpecError
        When the key is missing or too short.
    """
    key = os.environ.get(KEY, "")
    if len(key) < SHORTEST:
        raise SpecError(
            f"{KEY} has {len(key)} characters (needs {SHORTEST}): per-record scores are written under pseudonyms only; "
            "set it to a secret, such as the output of: openssl rand -hex 32"
        )
    return key
