"""Single records' scores, for those who ask for them: under pseudonyms, in the run's folder, never in MLflow."""

import hmac
import json
import os
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.errors import SpecError
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
    with store.fs.open_input_stream(f"{folder}/artefacts.json") as stream:
        artefacts: dict[str, Any] = json.loads(stream.read())
    of: dict[str, str] = {}
    for entry in artefacts["scores"]:
        if entry["mitigation"] is None:
            of.setdefault(entry["attack"], entry["path"])  # the first repeat's come first
    tables = {attack: store.open(path).table("scores.parquet") for attack, path in of.items()}
    first = next(iter(tables.values()))
    columns = {"record": [pseudonym(record, key) for record in first["record_id"].to_pylist()]}
    columns |= {name: first[name] for name in ("label", "is_member")}
    columns |= {f"score_{attack}": table["score"] for attack, table in tables.items()}
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
