"""One job per stage of an audit; each run makes a chunk of the stage's steps, here or on workers.

Belongs here: names and descriptions. Does not belong here: how a stage's steps are divided into chunks (`stages`), nor
what a step does (`umbrameter.steps`).
"""

from umbrameter.running.jobs import chunk_job
from umbrameter.running.session import Chunk, Session
from umbrameter.targets.connection import Connection

# The functions below differ in name and docstring alone, which are what an orchestrator's page shows.


@chunk_job
def split_records(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Divide the records into members, non-members and the pool."""
    return session.make(chunk.steps, connection)


@chunk_job
def train_target(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Train the target on the members, with one training mitigation or none."""
    return session.make(chunk.steps, connection)


@chunk_job
def query_target(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Query the target about members and non-members."""
    return session.make(chunk.steps, connection)


@chunk_job
def query_other_records(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Query the target about other records that attacks need: records of the pool, noisy copies."""
    return session.make(chunk.steps, connection)


@chunk_job
def search_shadow_records(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Search for records of the chunk's classes by querying the target."""
    return session.make(chunk.steps, connection)


@chunk_job
def draw_shadow_records(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Draw the shadow models' training records, unless they are the pool's."""
    return session.make(chunk.steps, connection)


@chunk_job
def fit_shadow_models(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Train shadow models, and query each about its IN and OUT records."""
    return session.make(chunk.steps, connection)


@chunk_job
def merge_attack_data(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Merge the labelled IN/OUT vectors of all shadow models, for the chunk's classes."""
    return session.make(chunk.steps, connection)


@chunk_job
def fit_guard(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Fit a learned mitigation of the answers on the shadow models' vectors."""
    return session.make(chunk.steps, connection)


@chunk_job
def guard_answers(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Pass the target's and the shadow models' answers through a learned mitigation."""
    return session.make(chunk.steps, connection)


@chunk_job
def gather_references(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Gather the shadow models' logits of the audited records for reference attacks."""
    return session.make(chunk.steps, connection)


@chunk_job
def make_attack_inputs(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Make the inputs of attacks defined outside umbrameter."""
    return session.make(chunk.steps, connection)


@chunk_job
def fit_attack_models(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Fit the attack models of the chunk's classes."""
    return session.make(chunk.steps, connection)


@chunk_job
def score_records(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Score the audited records with attacks on the target under one mitigation."""
    return session.make(chunk.steps, connection)


@chunk_job
def evaluate_attacks(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Measure attacks on the target under one mitigation, each figure with an interval."""
    return session.make(chunk.steps, connection)


@chunk_job
def measure_utility(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Measure how good the target's answers are under one mitigation."""
    return session.make(chunk.steps, connection)


@chunk_job
def check_guarantee(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Check a claim of differential privacy against the attacks."""
    return session.make(chunk.steps, connection)


@chunk_job
def check_controls(session: Session, chunk: Chunk, connection: Connection | None) -> bool:
    """Run the controls, which check the audit itself."""
    return session.make(chunk.steps, connection)
