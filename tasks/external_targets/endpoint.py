"""Query a model behind HTTP(S): answered batches are kept, a ledger notes all that was sent, every wait is limited.

Belongs here: the requests, their retries, the store of answers, secrets. Does not belong here: what a request or an
answer means (`umbrameter.targets.endpoint_format`).
"""

import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from tasks.external_targets.connection import Clock, client
from tasks.external_targets.ledger import Ledger
from tasks.external_targets.replies import REPEATED, Reply, causes, retry_after, without_query
from umbrameter.errors import DataError, TargetError
from umbrameter.mitigations import Rounding, TopK
from umbrameter.store.arrow import vector_column, vectors
from umbrameter.store.artefacts import Recipe, Store, digest
from umbrameter.targets.columns import Columns, Rows, masked, same
from umbrameter.targets.endpoint import EndpointTarget
from umbrameter.targets.endpoint_format import aligned, all_classes, answers_of, body_of, encoded
from umbrameter.typing import Floats

log = logging.getLogger("umbrameter.audit")
logging.getLogger("httpcore").setLevel(logging.WARNING)  # its debug lines show headers, which may echo a token

FIRST_WAIT, MOST_WAIT = 0.5, 30.0
"""Seconds before the first repetition of a request, and the most before a later one; each waits twice as long."""

MOST_BYTES, MOST_BYTES_A_NUMBER = 64 * 2**20, 64
"""The largest reply that is read: so many bytes, and so many more per number of the expected vectors."""

WITNESSES, FEWEST = 2, 20
"""Canaries in a request, and the fewest records of a request with canaries: no other model's answers must be kept."""


def own_records(batch_size: int) -> int:
    """Return how many of a query's records fit into one request beside its witnesses."""
    return batch_size - WITNESSES if batch_size >= FEWEST else batch_size


@dataclass(frozen=True)
class _Batch:
    """Consecutive records of a query that are sent in one request."""

    start: int
    X: Rows
    recipe: Recipe

    @property
    def name(self) -> str:
        return self.recipe.key[:12]


class Endpoint:
    """A classifier behind HTTP(S), asked in batches; each answered batch is kept and never asked again.

    `model` identifies the model behind the address, so that answers of one are never taken for those of another.
    `witnesses` are records with that model's answers; every larger request includes them, and a reply that answers
    them differently is not kept.

    Parameters
    ----------
    target
        Its address and settings.
    store
        Where answers and the ledger are kept.
    columns
        What the columns of a feature matrix stand for.
    classes
        The data's classes, in order; those that only the endpoint knows are put behind them.
    token
        The secret for the header; see `read_token`.

    Raises
    ------
    TargetError
        When `target.ca` cannot be read, or the token cannot be sent.
    """

    reads_source = True
    """Whether it is given records as their source has them."""

    def __init__(
        self,
        target: EndpointTarget,
        store: Store,
        columns: Columns,
        classes: Sequence[Any],
        token: str | None = None,
    ):
        self.target, self.store, self.columns = target, store, columns
        self.classes = all_classes(target, classes)
        self.classes_ = np.arange(len(self.classes))
        self.is_coarse = target.does(Rounding, TopK)
        self.purpose = "audited records"
        self.model = ""
        self.witnesses: tuple[Rows, Floats] | None = None
        self._ledger = Ledger(store, f"ledger/{digest(target.url)[:32]}")
        self._token = (token or "").strip()
        self._clock = Clock()
        self._sending = threading.Lock()
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | self._authorisation()
        self._client = client(target, headers, self._clock)
        self._threads = ThreadPoolExecutor(target.concurrency, thread_name_prefix="endpoint")

    def __enter__(self) -> "Endpoint":
        """Return itself; connections are closed when the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; nothing can be asked after it."""
        self._threads.shutdown()
        self._client.close()

    @contextmanager
    def asking(self, purpose: str) -> Iterator["Endpoint"]:
        """Note another purpose in the ledger while the block lasts."""
        before, self.purpose = self.purpose, purpose
        try:
            yield self
        finally:
            self.purpose = before

    def predict_proba(self, X: Rows) -> Floats:
        """Return prediction vectors, float32 of shape (n_records, n_classes); kept answers are not asked for again.

        Raises
        ------
        TargetError
            When the endpoint cannot be asked or does not answer; answered batches are kept.
        DataError
            When it answers with something other than prediction vectors.
        """
        return self._gathered(X, self.purpose, self._kept)

    def canary(self, X: Rows) -> Floats:
        """Return prediction vectors as `predict_proba` does, but never kept ones; compare them with `same`."""
        return self._gathered(X, "canary", self._anew)

    def ledger(self) -> pa.Table:
        """Return all requests ever sent to this endpoint from this store; see `LEDGER` for the columns."""
        return self._ledger.table()

    def answered(self) -> dict[str, int]:
        """Return how many records this model has answered per purpose for this store, witnesses included."""
        return self._ledger.answered(self.model)

    @property
    def n_sent(self) -> int:
        """Records ever sent to this endpoint from this store, repetitions included."""
        return self._ledger.n_sent()

    def _authorisation(self) -> dict[str, str]:
        if not self._token:
            return {}
        if not (self._token.isascii() and self._token.isprintable()):
            raise TargetError(
                "target.token: the secret holds characters that no header can carry; check what is stored"
            )
        spec = self.target.token
        header, scheme = ("Authorization", "Bearer") if spec is None else (spec.header, spec.scheme)
        return {header: f"{scheme} {self._token}".strip()}

    def _gathered(self, X: Rows, purpose: str, answer: Callable[[_Batch, str, threading.Event], Floats]) -> Floats:
        """Query all batches in parallel; once one has failed for good, start no other."""
        batches, stop, failed = list(self._batches(X)), threading.Event(), list[BaseException]()

        def work(batch: _Batch) -> Floats | None:
            try:
                return None if stop.is_set() else answer(batch, purpose, stop)
            except BaseException as error:
                failed.append(error)
                stop.set()
                return None

        distinct = {batch.recipe.key: batch for batch in batches}  # equal batches are sent once
        # In this thread's context, so that log lines belong to its flow run.
        submit = self._threads.submit
        futures = {key: submit(copy_context().run, work, batch) for key, batch in distinct.items()}
        try:
            wait(futures.values())
        finally:
            stop.set()
            wait(futures.values())
        if failed:
            raise failed[0]
        none = np.empty((0, len(self.classes)), dtype=np.float32)
        return np.concatenate([none, *(futures[batch.recipe.key].result() for batch in batches)])

    def _batches(self, X: Rows) -> Iterator[_Batch]:
        size = self.target.batch_size
        step = own_records(size) if self.witnesses is not None else size
        for start in range(0, len(X), step):
            part = X.slice(start, step) if isinstance(X, pa.Table) else X[start : start + step]
            content = digest(encoded(part, self.columns, start))  # what is sent: equal records are equal text
            facts = {**self.target.identity, "model": self.model, "form": self._form, "content": content}
            yield _Batch(start, part, Recipe("query_batches", facts))

    @cached_property
    def _form(self) -> str:
        """The digest of what decides how records are written, and how answers are read."""
        return digest([self.columns.names, list(map(str, self.classes))])

    def _kept(self, batch: _Batch, purpose: str, stop: threading.Event) -> Floats:
        """Return a batch's answers: the kept ones, or new ones, which are kept at once."""
        artefact = self.store.find(batch.recipe)
        if artefact is not None:
            return vectors(artefact.table("predictions.parquet")["prediction"])
        began = time.perf_counter()
        answers, attempts = self._witnessed(batch, purpose, stop)
        with self.store.write(batch.recipe) as draft:
            draft.table("predictions.parquet", pa.table({"prediction": vector_column(answers)}))
            draft.meta |= {"n": len(answers), "purpose": purpose, "attempts": attempts, "status": "200"}
            draft.meta["seconds"] = time.perf_counter() - began
        return answers

    def _witnessed(self, batch: _Batch, purpose: str, stop: threading.Event) -> tuple[Floats, int]:
        """Return a batch's answers, which came in one request with the witnesses', and how many requests they took."""
        n = len(batch.X)
        if self.witnesses is None or min(n + WITNESSES, self.target.batch_size) < FEWEST:
            return self._asked(batch, [], purpose, stop)
        records, known = self.witnesses
        answers, attempts = self._asked(batch, encoded(records, self.columns), purpose, stop)
        if not same(answers[n:], known):
            raise TargetError(
                f"{self.target.place} answers {len(known)} records differently than at the beginning: it was replaced "
                "by another model, or its answers are random; run again once it stays the same: answers of the first "
                "model are kept for it"
            )
        return answers[:n], attempts

    def _anew(self, batch: _Batch, purpose: str, stop: threading.Event) -> Floats:
        return self._asked(batch, [], purpose, stop)[0]

    def _asked(self, batch: _Batch, more: list[list[Any]], purpose: str, stop: threading.Event) -> tuple[Floats, int]:
        """Return a batch's answers, then those of more rows, and how many requests they took."""
        rows = encoded(batch.X, self.columns, batch.start) + more
        body = json.dumps(body_of(self.target.request, rows, self.columns), allow_nan=False).encode()
        reply = Reply("")
        for attempt in range(self.target.retries + 1):
            if attempt:
                self._pause(reply, attempt, stop)
            reply = self._sent(body, batch, len(rows), purpose)
            if reply.status == "200":
                return self._read(reply, batch, rows), attempt + 1
            if reply.status not in REPEATED:
                raise self._refusal(reply, rows)
        raise TargetError(
            f"{self.target.place} does not answer: {self.target.retries + 1} requests for one batch, the last ended "
            f"with {reply.status}{self._quoted(reply, rows)}; check that it is up, or raise target.timeout or "
            "target.retries, and run again: answered batches are kept"
        )

    def _pause(self, reply: Reply, attempt: int, stop: threading.Event) -> None:
        """Wait before a request is repeated, as long as the endpoint says, or twice as long as the last time."""
        seconds = retry_after(reply.headers.get("retry-after"))
        if seconds is None:
            # At random, so that parallel requests do not all come back at the same moment.
            seconds = min(MOST_WAIT, FIRST_WAIT * 2 ** min(attempt - 1, 10)) * random.uniform(0.5, 1)
        elif seconds > self.target.longest_wait:
            raise TargetError(
                f"{self.target.place} answered {reply.status} and says to wait {seconds:.0f} s, more than target."
                f"longest_wait={self.target.longest_wait:g}; run again then, or raise it: answered batches are kept"
            )
        log.warning("the endpoint: %s; asked again in %.1f s (repetition %d)", reply.status, seconds, attempt)
        if stop.wait(seconds):
            raise TargetError("not asked again, since another batch failed")

    def _sent(self, body: bytes, batch: _Batch, n: int, purpose: str) -> Reply:
        """Send one request of n records, with a row in the ledger before it and its end after it."""
        budget = self.target.budget
        with self._sending:  # so that parallel requests cannot overdraw the budget together
            if budget is not None and (sent := self.n_sent) + n > budget:
                raise TargetError(
                    f"target.budget={budget} does not suffice: {sent} records were sent and {n} more are needed for "
                    "the next request; raise target.budget and run again: answered batches are kept"
                )
            row = self._ledger.begin(batch.name, purpose, n, self.model)
        began = time.perf_counter()
        reply = self._post(body, MOST_BYTES + MOST_BYTES_A_NUMBER * n * len(self.classes))
        self._ledger.end(row, reply.status, time.perf_counter() - began)
        return reply

    def _post(self, body: bytes, most: int) -> Reply:
        self._clock.end = time.monotonic() + self.target.timeout
        try:
            with self._client.stream("POST", self.target.url, content=body) as response:
                content = bytearray()
                for chunk in response.iter_bytes():  # an endless reply must not fill the memory
                    content += chunk
                    if len(content) > most:
                        return Reply("too large")
                return Reply(str(response.status_code), bytes(content), response.headers)
        except httpx.TimeoutException:
            return Reply("timeout")
        except (httpx.ConnectError, httpx.ProxyError) as error:
            is_untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))
            return Reply("not trusted" if is_untrusted else "no connection", str(error).encode())
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.DecodingError):
            return Reply("cut off")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Reply("not sent", str(error).encode())

    def _read(self, reply: Reply, batch: _Batch, rows: list[list[Any]]) -> Floats:
        try:
            content = json.loads(reply.content)
        except (ValueError, RecursionError):
            kind = reply.headers.get("content-type", "no content type")
            raise TargetError(
                f"{self.target.place} answered 200, but no JSON ({kind[:60]}){self._quoted(reply, rows)}; check "
                "target.url"
            ) from None
        answers = answers_of(self.target.request, content, len(rows), batch.start)
        # A path that leads to an echo of the request would pass for answers.
        if answers == rows:
            raise DataError("the endpoint answers the records themselves; set target.request to where its answers are")
        # The canaries, which come first, have shown whether it answers labels.
        return aligned(self.target, answers, self.classes, batch.start, self.witnesses is not None)

    def _refusal(self, reply: Reply, rows: list[list[Any]]) -> TargetError:
        quote, place = self._quoted(reply, rows), self.target.place
        if reply.status == "not trusted":
            text = f"the certificate of {place} is not trusted{quote}; set target.ca to the PEM file of its authority"
        elif reply.status == "not sent":
            text = f"{place} cannot be asked{quote}; check target.url"
        elif reply.status == "too large":
            text = f"{place} answers more than prediction vectors can take; check target.url, or lower batch_size"
        elif reply.status.startswith("3"):
            address = self._shown(without_query(reply.headers.get("location", "nowhere")), rows)
            text = f"{place} answered {reply.status} and redirects to {address}; redirects are not followed: "
            text += "set target.url to it"
        elif reply.status in ("401", "403"):
            text = f"{place} answered {reply.status}{quote}; check target.token"
        else:
            text = f"{place} answered {reply.status}{quote}; check target.url and target.request"
        return TargetError(text)

    def _quoted(self, reply: Reply, rows: list[list[Any]]) -> str:
        quote = self._shown(reply.content[:8000].decode(errors="replace"), rows)
        return f" ({quote})" if quote else ""

    def _shown(self, text: str, rows: list[list[Any]]) -> str:
        """Return the beginning of the endpoint's text, without the token and without the records that were sent."""
        return " ".join(masked(text.replace(self._token, "[token]") if self._token else text, rows).split())[:200]
