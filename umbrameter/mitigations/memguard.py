"""MemGuard: noise on the confidences that leaves an attacker's classifier guessing, and the predicted class unchanged.

A guard learns to tell members from non-members by their prediction vectors, as an attacker would. For each vector
s = softmax(z), gradient descent looks for noise e on the logits that takes the guard across its decision boundary. It
minimises |h(softmax(z + e))| + c2 max(0, max_{j != l} (z + e)_j - (z + e)_l) + c3 |softmax(z + e) - s|_1, where h is
the guard's logit and l the predicted class; c3 rises tenfold as long as there is a solution, which makes the noise
small. The noisy vector is then the answer with a probability that keeps the expected L1 distortion within epsilon.

Jia, Salem, Backes, Zhang, Gong (2019), "MemGuard: Defending against Black-Box Membership Inference Attacks via
Adversarial Examples", arXiv 1909.10594, sections 4.2 (algorithm 1) and 4.3 (equations 15 to 17).
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from umbrameter.errors import SpecError
from umbrameter.mitigations.base import LearnedPostHoc, MitigatedClassifier
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Bools, Floats

if TYPE_CHECKING:
    from umbrameter.networks import MLPClassifier

TINY = float(np.finfo(np.float32).tiny)
"""Stands in for a confidence of 0, which has no logit."""

LABEL_WEIGHT = 10.0
"""The paper's c2: the weight of keeping the predicted class."""

FIRST_WEIGHT, LAST_WEIGHT = 0.1, 10.0
"""Weights of the distortion, the paper's c3, from first to last: beyond, noise shrinks by less than 1 %."""

STEP = 0.1
"""Length of a search step, which is the authors'."""

ROWS = 4096
"""Vectors searched side by side, which bounds the memory."""


class MemGuard(LearnedPostHoc):
    """Answer with noise that leaves a guard, trained on shadow models' answers, guessing.

    Examples
    --------
    >>> from umbrameter.attacks import Vectors
    >>> rng = np.random.default_rng(0)
    >>> is_in = np.arange(2000) % 2 == 0
    >>> sure = np.where(is_in, 0.99, 0.7) - 0.05 * rng.random(2000)
    >>> shadow = Vectors(np.column_stack([sure, 1 - sure]).astype(np.float32), np.zeros(2000, int), is_in)
    >>> guarded = MemGuard().fit(shadow, seed=0)
    >>> answers = guarded.transform(shadow.predictions)
    >>> bool(guarded.suspicion(answers)[is_in].mean() < 0.6 < 0.9 < guarded.suspicion(shadow.predictions)[is_in].mean())
    True
    """

    kind: Literal["memguard"] = Field("memguard", description="Noise that misleads a guard (Jia et al. 2019).")
    epsilon: float = Field(
        1.0, gt=0, le=2, description="The expected L1 distortion of an answer, at most.", examples=[0.5]
    )
    max_steps: int = Field(300, ge=1, description="Steps of one search.", examples=[100])

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        steps = "" if self.max_steps == 300 else f", max_steps={self.max_steps}"
        return f"memguard({self.epsilon:g}{steps})"

    def fit(self, shadow: Vectors, seed: int) -> "Guarded":
        """Train the guard.

        Parameters
        ----------
        shadow
            Shadow models' prediction vectors with known IN and OUT.
        seed
            Seed of the guard's training and of the coin flips that decide which answers get noise.

        Raises
        ------
        SpecError
            When there are no IN vectors, or no OUT vectors.
        """
        from umbrameter.networks import MLPClassifier

        if shadow.is_in is None or not shadow.is_in.any() or shadow.is_in.all():
            raise SpecError(f"{self.label} needs shadow vectors of both IN and OUT records")
        network = MLPClassifier((64, 64), activation="relu", epochs=20, batch_size=64, random_state=seed)
        network.fit(_features(_logs(shadow.predictions))[0], shadow.is_in)
        return Guarded(self, network, seed)

    def restore(self, model: Any, seed: int) -> "Guarded":
        """Return the mitigation with a guard that was trained before."""
        return Guarded(self, model, seed)


@dataclass(frozen=True)
class Guarded:
    """MemGuard with its trained guard.

    Parameters
    ----------
    mitigation
        The settings.
    network
        The guard.
    seed
        Seed of the coin flips.
    """

    mitigation: MemGuard
    network: "MLPClassifier"
    seed: int

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return self.mitigation.label

    @property
    def model(self) -> "MLPClassifier":
        """The guard, which is all that was learned."""
        return self.network

    def wrap(self, estimator: Any) -> MitigatedClassifier:
        """Return a classifier that answers with guarded prediction vectors."""
        return MitigatedClassifier(estimator, self)

    def suspicion(self, predictions: Floats) -> Floats:
        """Return the guard's P(member), shape (n_records,)."""
        return np.asarray(self.network.predict_proba(_features(_logs(predictions))[0])[:, 1])

    def transform(self, predictions: Floats) -> Floats:
        """Return the guarded vectors: predicted classes are kept, and rows with noise sum to 1.

        The same vector always gets the same answer, so that asking again reveals nothing: whether it gets noise
        follows from its content and the seed alone (section 4.3, "one-time randomness").
        """
        out = predictions.copy()
        for start in range(0, len(predictions), ROWS):
            rows = slice(start, start + ROWS)
            noisy, chance = self.noisy(predictions[rows])
            hit = self._coins(predictions[rows]) < chance
            out[rows][hit] = noisy[hit]
        return out

    def noisy(self, predictions: Floats) -> tuple[Floats, Floats]:
        """Return each vector with its noise, and the probability that this is the answer (equation 17)."""
        noisy = self._searched(predictions)
        distance = np.abs(noisy.astype(np.float64) - predictions).sum(axis=1)
        helps = np.abs(self.suspicion(noisy) - 0.5) < np.abs(self.suspicion(predictions) - 0.5)
        keeps = noisy.argmax(axis=1) == predictions.argmax(axis=1)
        budget = self.mitigation.epsilon / np.maximum(distance, TINY)
        return noisy, np.where(helps & keeps & (distance > 0), np.minimum(1.0, budget), 0.0)

    def _coins(self, predictions: Floats) -> Floats:
        """Return a number in [0, 1) per vector, which follows from its content and the seed."""
        key = self.seed.to_bytes(8, "little")
        # as float32, so that the same vector in another dtype gets the same coin
        content = np.ascontiguousarray(predictions, dtype=np.float32)
        digests = [blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in content]
        return np.frombuffer(b"".join(digests), dtype="<u8") / 2.0**64

    def _searched(self, predictions: Floats) -> Floats:
        """Return the vectors with the smallest noise found; unchanged where there is no solution."""
        logits, called = _logs(predictions), predictions.argmax(axis=1)
        side = np.sign(self._slope(logits)[0])
        noisy, rows, weight = predictions.copy(), np.arange(len(predictions)), FIRST_WEIGHT
        while len(rows) and weight <= LAST_WEIGHT:
            moved, solved = self._descended(logits[rows], predictions[rows], called[rows], side[rows], weight)
            rows, weight = rows[solved], 10 * weight
            noisy[rows] = moved[solved]
        return noisy

    def _descended(
        self, logits: Floats, predictions: Floats, called: Any, side: Floats, weight: float
    ) -> tuple[Floats, Bools]:
        """Return vectors moved until the guard changes its mind and the predicted class is kept, and which did."""
        moved, z, rows = predictions.copy(), logits.copy(), np.arange(len(logits))
        solved = np.zeros(len(rows), dtype=np.bool_)
        for step in range(self.mitigation.max_steps + 1):
            h, slope = self._slope(z)
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            done = (
                (h * side[rows] <= 0) & (p.argmax(axis=1) == called[rows]) & (step > 0)
            )  # at least one step, on the boundary too
            moved[rows[done]], solved[rows[done]] = p[done], True
            rows, z, h, slope, p = (part[~done] for part in (rows, z, h, slope, p))
            if not len(rows):
                break
            gradient = np.sign(h)[:, None] * slope + LABEL_WEIGHT * _label_slope(z, called[rows])
            apart = np.sign(p - predictions[rows])  # the gradient of the L1 distance, taken through the softmax below
            gradient += weight * p * (apart - (p * apart).sum(axis=1, keepdims=True))
            length = np.sqrt((gradient**2).sum(axis=1, keepdims=True))
            z = z - np.float32(STEP) * gradient / np.maximum(length, TINY)
        return moved, solved

    def _slope(self, logits: Floats) -> tuple[Floats, Floats]:
        """Return the guard's logit, shape (n,), and its gradient with respect to the logits, shape (n, n_classes)."""
        features, order, p = _features(logits)
        units, weights = [features], self.network.coefs_
        for w, b in zip(weights[:-1], self.network.intercepts_[:-1], strict=True):
            units.append(np.maximum(units[-1] @ w + b, 0))
        h = (units[-1] @ weights[-1] + self.network.intercepts_[-1])[:, 0]
        # backwards through the layers, whose ReLUs pass on gradients where they are active
        error = np.broadcast_to(weights[-1].T, (len(logits), len(weights[-1])))
        for u, w in zip(units[:0:-1], weights[-2::-1], strict=True):
            error = (error * (u > 0)) @ w.T
        by_logs = np.empty_like(error)  # in the order of the classes again, then through the log-softmax
        np.put_along_axis(by_logs, order, error, axis=1)
        return h, by_logs - p * by_logs.sum(axis=1, keepdims=True)


def _logs(predictions: Floats) -> Floats:
    return np.log(np.maximum(predictions, TINY)).astype(np.float32)


def _features(logits: Floats) -> tuple[Floats, Any, Floats]:
    """Return the guard's features, which are the sorted log confidences; their classes; and the confidences."""
    logs = logits - logits.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    order = np.argsort(-logs, axis=1)
    return np.take_along_axis(logs, order, axis=1), order, np.exp(logs)


def _label_slope(z: Floats, called: Any) -> Floats:
    """Return the gradient of how far another class lies above the predicted one; 0 where none does."""
    rows, others = np.arange(len(z)), z.copy()
    others[rows, called] = -np.inf
    best = others.argmax(axis=1)
    wrong = (others[rows, best] >= z[rows, called]).astype(z.dtype)
    slope = np.zeros_like(z)
    slope[rows, best], slope[rows, called] = wrong, -wrong
    return slope
