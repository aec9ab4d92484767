"""The ledger of an endpoint: every request ever sent to it, without its content."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from umbrameter.store.artefacts import Store

LEDGER = pa.schema(
    [
        ("batch", pa.string()),
        ("purpose", pa.string()),
        ("n_records", pa.int64()),
        ("sent", pa.timestamp("us", tz="UTC")),
        ("seconds", pa.float64()),
        ("status", pa.string()),
    ]
)
"""One row per request, without its content. `seconds` is null if the process died before the request ended."""


@dataclass
class Ledger:
    """The requests to one endpoint, in two small files each: one written before it is sent, one after it has ended.

    The files are counted once; after that, the count grows with each new file.

    Parameters
    ----------
    store
        Where the files go.
    folder
        Relative to the store's root.
    """

    store: Store
    folder: str
    _n_sent: int | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def begin(self, batch: str, purpose: str, n: int, model: str = "") -> str:
        """Note that a request is about to be sent, and return the note's name.

        Parameters
        ----------
        batch, purpose
            Which records are sent, and for which part of the audit.
        n
            Number of records.
        model
            Digest of the model behind the endpoint, if it is known.
        """
        # The number of records is in the name, so that counting opens no file.
        name = f"{time.time_ns() // 1000}-{n}-{uuid.uuid4().hex[:12]}"
        content = {"batch": batch, "purpose": purpose, "model": model}
        with self._lock:
            self.store.put(self.folder, {f"{name}.sent.json": json.dumps(content).encode()})
            if self._n_sent is not None:
                self._n_sent += n
        return name

    def end(self, name: str, status: str, seconds: float) -> None:
        """Note how a request ended.

        Parameters
        ----------
        name
            The name that `begin` returned.
        status
            The HTTP status, or what went wrong.
        seconds
            How long it took.
        """
        content = {"status": status, "seconds": round(seconds, 6)}
        self.store.put(self.folder, {f"{name}.ended.json": json.dumps(content).encode()})

    def n_sent(self) -> int:
        """Return how many records were sent, repetitions included."""
        with self._lock:
            if self._n_sent is None:
                self._n_sent = sum(int(name.split("-")[1]) for name in self._names(".sent.json"))
            return self._n_sent

    def answered(self, model: str) -> dict[str, int]:
        """Return how many records one model has answered, per purpose."""
        counts: dict[str, int] = {}
        for row in self._rows():
            if row["status"] == "200" and row["model"] == model:
                counts[row["purpose"]] = counts.get(row["purpose"], 0) + row["n_records"]
        return counts

    def table(self) -> pa.Table:
        """Return all requests, in the order in which they were sent; see `LEDGER` for the columns."""
        return pa.Table.from_pylist(self._rows(), schema=LEDGER)

    def _rows(self) -> list[dict[str, Any]]:
        ended, rows = set(self._names(".ended.json")), []
        for name in sorted(self._names(".sent.json")):
            microseconds, n, _ = name.split("-")
            row = {"batch": "", "purpose": "unknown", "model": "", "seconds": None, "status": "unknown"}
            row |= self._read(f"{name}.sent.json") | (self._read(f"{name}.ended.json") if name in ended else {})
            rows.append(row | {"n_records": int(n), "sent": datetime.fromtimestamp(int(microseconds) / 1e6, UTC)})
        return rows

    def _names(self, ending: str) -> list[str]:
        infos = self.store.fs.get_file_info(pafs.FileSelector(self.folder, allow_not_found=True))
        return [info.base_name.removesuffix(ending) for info in infos if info.base_name.endswith(ending)]

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self.store.read(f"{self.folder}/{name}")))
        except ValueError:
            return {}  # the process was killed while writing it
