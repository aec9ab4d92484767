"""Prefect tasks: the unit of orchestration. Paths of artefacts in, paths of artefacts out."""

import os

# MLflow reads these on import, so they are set before a module here imports it. With its own retries and timeout, an
# unreachable server would hold up the end of an audit for minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
