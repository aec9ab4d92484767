"""Single records' scores, for those who ask for them: under pseudonyms, in the run's folder, never in MLflow."""

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
"""The environment variable that holds the secret of the pseudonyms."""

SHORTEST = 16
"""Characters that the secret must have, at least."""


def exposure(store: Store, folder: str, key: str) -> bytes:
    """Return each audited record's scores by the attacks on the target as it is, under a pseudonym.

    Parameters
    ----------
    store
        Where the run lies.
    folder
        The run's folder, relative to the root.
    key
        The secret of the pseudonyms.

    Returns
    -------
    bytes
        A Parquet file with columns `record` (HMAC-SHA256 of the record's number, in hexadecimal digits), `label`,
        `is_member`, and `score_<attack>`; sorted by pseudonym, so that the order says nothing either.
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
    """Return a record's pseudonym: without the key nobody can tell whose it is, with it anybody can.

    Examples
    --------
    >>> pseudonym(7, "a secret of some length") == pseudonym(7, "a secret of some length") != pseudonym(7, "another")
    True
    """
    return hmac.new(key.encode(), str(record).encode(), sha256).hexdigest()


def record_key() -> str:
    """Return the secret from the environment.

    Raises
    ------
    SpecError
        When there is none, or it is short.
    """
    key = os.environ.get(KEY, "")
    if len(key) < SHORTEST:
        raise SpecError(
            f"{KEY} has {len(key)} characters (needs {SHORTEST}): single records are given out under pseudonyms alone; "
            "set it to a secret, such as from: openssl rand -hex 32"
        )
    return key
