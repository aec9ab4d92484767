"""A target behind HTTP(S): its settings.

Belongs here: settings and their checks. Does not belong here: what is sent and how it is answered (`endpoint_format`),
or sending it (`tasks.external_targets.endpoint`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator

from umbrameter.dotted_paths import NamedKind, kind_alone
from umbrameter.targets.base import Label, QueriedTarget
from umbrameter.targets.secrets import keys, looks_like_secret

RECORDS = "$records"
"""The placeholder for the list of records in a request's body."""


class MlflowRequest(BaseModel):
    """The format of MLflow's scoring server: `dataframe_split` in, `predictions` out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlflow"] = Field("mlflow", description="The format of MLflow's scoring server.")


class JsonRequest(BaseModel):
    """Any JSON with one place for the records and one for their answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["json"] = Field("json", description="JSON of any other form.")
    body: JsonValue = Field(
        description='The body to send; the text "$records" in it is replaced by the list of records.',
        examples=[{"instances": "$records"}],
    )
    record: Literal["row", "mapping"] = Field(
        "row", description="Each record as a list of values, or as a mapping from names to values."
    )
    probabilities: str = Field(
        pattern=r"^[^.]+(\.[^.]+)*$",
        description="The path to the list of answers: keys separated by dots, a number for an item of a list, * for "
        "every item, such as predictions.*.scores.",
        examples=["predictions.*.scores"],
    )

    @field_validator("body")
    @classmethod
    def _one_place(cls, body: JsonValue) -> JsonValue:
        if (count := _count(body)) != 1:
            text = 'write it once, such as {"instances": "$records"}'
            raise ValueError(f"{RECORDS!r} is in the body {count} times; {text}")
        secret = next(filter(looks_like_secret, keys(body)), None)
        if secret is not None:
            text = "leave it out, and set target.token, with its header if it has one of its own"
            raise ValueError(f"the body holds {secret!r}, which looks like a secret; {text}")
        return body


class Token(BaseModel):
    """Where the endpoint's secret is kept; the secret itself is never in a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"env": "CHURN_TOKEN"}]})

    env: str | None = Field(
        None, min_length=1, description="The environment variable that holds it.", examples=["CHURN_TOKEN"]
    )
    secret: str | None = Field(
        None, min_length=1, description="The name of the Prefect Secret block that holds it.", examples=["churn-token"]
    )
    header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z0-9-]+$",
        description="The header that it is sent in.",
        examples=["X-Api-Key"],
    )
    scheme: str = Field(
        "Bearer",
        pattern=r"^[A-Za-z0-9-]*$",
        description="The word before it in the header; may be empty.",
        examples=[""],
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Token":
        if (self.env is None) == (self.secret is None):
            raise ValueError("give either env (an environment variable) or secret (a Prefect Secret block)")
        return self


class EndpointTarget(QueriedTarget):
    """A classifier queried over HTTP(S), whose training records are known but whose parameters are not.

    Examples
    --------
    >>> EndpointTarget(url="https://models.example/churn/invocations").request.kind
    'mlflow'
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["endpoint"] = Field("endpoint", description="A model behind HTTP(S).")
    url: str = Field(
        pattern=r"^https?://",
        description="The address that records are posted to, without user or password.",
        examples=["https://models.example/churn/invocations"],
    )
    request: Annotated[
        MlflowRequest | JsonRequest, Field(discriminator="kind"), BeforeValidator(kind_alone), NamedKind()
    ] = Field(
        default_factory=lambda: MlflowRequest(),
        description="The format of requests and answers.",
        examples=[{"kind": "json", "body": {"instances": "$records"}, "probabilities": "predictions.*.scores"}],
    )
    labels: tuple[Label, ...] | None = Field(
        None,
        min_length=2,
        description="The labels in the order of an answer's numbers; the data's classes, sorted, if unset.",
        examples=[["no", "yes"]],
    )
    batch_size: int = Field(500, ge=1, description="Records in one request.", examples=[100])
    concurrency: int = Field(4, ge=1, le=64, description="Most requests at a time.", examples=[8])
    timeout: float = Field(
        30, gt=0, allow_inf_nan=False, description="Most seconds that one request may take in all.", examples=[10]
    )
    retries: int = Field(
        5,
        ge=0,
        description="How often a request is repeated that got no answer, or an error that may pass.",
        examples=[2],
    )
    longest_wait: float = Field(
        60,
        ge=0,
        allow_inf_nan=False,
        description="Most seconds that the endpoint may ask to wait; a longer wait ends the audit.",
        examples=[300],
    )
    ca: str | None = Field(
        None,
        description="PEM file of the certificate authority to trust; the system's authorities if unset.",
        examples=["authority.pem"],
    )
    token: Token | None = Field(
        None, description="Where the endpoint's secret is kept.", examples=[{"env": "CHURN_TOKEN"}]
    )
    budget: int | None = Field(
        None, ge=1, description="Most records that may ever be sent, including repeated ones.", examples=[20000]
    )

    @model_validator(mode="after")  # on the whole model, since a field's error would show the password
    def _no_secrets(self) -> "EndpointTarget":
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise ValueError("url holds a user or password; leave them out, and set target.token")
        if "#" in self.url:
            raise ValueError("url holds a fragment, which is never sent; leave out # and what follows it")
        # Some servers separate parameters with semicolons.
        names = [name for name, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)]
        secret = next(filter(looks_like_secret, names), None)
        if secret is not None:
            raise ValueError(f"url holds {secret!r}, which looks like a secret; leave it out, and set target.token")
        if not parts.hostname or parts.port == 0:
            raise ValueError("url names no host; write it such as https://models.example/invocations")
        return self

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[Label, ...] | None) -> tuple[Label, ...] | None:
        texts = [label_text(label) for label in labels or ()]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice; remove one of the two")
        return labels

    @property
    def place(self) -> str:
        """The address without its query, safe to show."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings that determine the answers, JSON-able: not those of speed or retries, and no secrets."""
        return self.model_dump(mode="json", include={"url", "request", "labels", "answers"})


def _count(template: Any) -> int:
    if isinstance(template, Mapping):
        return sum(map(_count, template.values()))
    return sum(map(_count, template)) if isinstance(template, list) else int(template == RECORDS)


def label_text(label: Any) -> str:
    """Return a label as text; true and false in JSON's spelling."""
    text = str(label)
    return text.lower() if text in ("True", "False") else text
