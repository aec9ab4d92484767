"""Where an attack's signals come from: paths of artefacts, and what is read from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.attacks import Signals, Vectors
from umbrameter.mitigations import PostHoc, answered
from umbrameter.records.noise import Noise
from umbrameter.records.reader import Records
from umbrameter.steps.attack_data import read_some
from umbrameter.steps.attack_models import read_models
from umbrameter.steps.reference_answers import read_references
from umbrameter.store.arrow import vectors
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class Sources:
    """Paths of the artefacts that an attack looks at, beside the target's answers; empty where it does not.

    Parameters
    ----------
    models
        Of `attack_models`.
    data
        Of `attack_data`: shadow vectors.
    references
        Of `references`: shadow models' answers on the audited records.
    population
        Of `population_predictions`: the target's answers on non-members of the pool.
    noisy
        Of `noisy_answers`: the target's labels under noise.
    shadows
        Of `shadow_predictions`: the shadow models' labels under noise.
    """

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    population: tuple[str, ...] = ()
    noisy: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the signals."""
        return {name: [key_of(path) for path in paths] for name, paths in vars(self).items() if paths}

    def read(
        self,
        store: Store,
        target: Vectors,
        rows: Ints,
        mitigations: Sequence[PostHoc],
        known: Sequence[PostHoc],
        records: str,
        seed: int,
    ) -> Signals:
        """Return the signals.

        Parameters
        ----------
        store
            Where the artefacts are.
        target, rows
            The target's (mitigated) answers on the audited records, and these.
        mitigations
            What the target's answers pass through, in order.
        known
            What shadow models' answers pass through: the same, or nothing where the attacker does not know of it.
        records
            Path of the `records` artefact.
        seed
            The audit's seed.
        """
        if self.models:
            return Signals(target, None, seed, read_models([store.open(path) for path in self.models]))
        compared = [store.open(path) for path in self.references]
        read = {artefact.meta["temperature"]: read_references(artefact) for artefact in compared}
        signals = Signals(
            target,
            read_some([store.open(d) for d in self.data], known) if self.data else None,
            seed,
            references={t: audited for t, (audited, _) in read.items()},
            calibration={t: others for t, (_, others) in read.items() if others is not None},
            robustness={_noise(a): _held(a) for a in map(store.open, self.noisy)},
            shadow_robustness=self._shadow_robustness(store),
        )
        for path in self.population:
            table, opened = store.open(path).table("predictions.parquet"), Records.open(store, records)
            signals = replace(
                signals,
                features=opened.take(rows)[0],
                population=read_answers(table, mitigations)[0],
                population_features=opened.take(np.asarray(table["record_id"]))[0],
            )
        return signals

    def _shadow_robustness(self, store: Store) -> dict[Noise, tuple[Floats, Bools]]:
        """Return how well shadow models' labels hold under each noise, and which records were IN."""
        found: dict[Noise, list[pa.Table]] = {}
        for shadow in map(store.open, self.shadows):
            for i, entry in enumerate(shadow.meta["noises"]):
                found.setdefault(Noise.model_validate(entry), []).append(shadow.table(f"noisy-{i}.parquet"))
        tables = {noise: pa.concat_tables(parts) for noise, parts in found.items()}
        return {noise: (np.asarray(t["robustness"]), np.asarray(t["is_in"])) for noise, t in tables.items()}


def read_answers(table: pa.Table, mitigations: Sequence[PostHoc] = ()) -> tuple[Vectors, Bools]:
    """Return a target's answers, mitigated, and which records are members."""
    predictions = answered(vectors(table["prediction"]), mitigations)
    return Vectors(predictions, np.asarray(table["label"]).astype(np.int64)), np.asarray(table["is_member"])


def _noise(artefact: Artefact) -> Noise:
    return Noise.model_validate(artefact.meta["noise"])


def _held(artefact: Artefact) -> Floats:
    return np.asarray(artefact.table("robustness.parquet")["robustness"])
