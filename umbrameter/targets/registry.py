"""A target from MLflow's model registry."""

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from umbrameter.targets.base import QueriedTarget


class RegistryTarget(QueriedTarget):
    """A registered model version.

    Examples
    --------
    >>> RegistryTarget(model="models:/churn@champion").trusted
    False
    """

    brings_recipe: ClassVar[bool] = True

    kind: Literal["registry"] = Field("registry", description="A model in MLflow's registry.")
    model: str = Field(
        pattern=r"^models:/[^/@]+(@[^/@]+|/[^/@]+)$", description="models:/NAME@ALIAS or models:/NAME/VERSION."
    )
    tracking_uri: str | None = Field(
        None, description="The registry's address; that of the audit's tracking if unset. Without user or password."
    )

    @field_validator("tracking_uri")
    @classmethod
    def _no_secrets(cls, uri: str | None) -> str | None:
        if uri is not None and "@" in urlsplit(uri).netloc:
            raise ValueError("holds a user or password; leave them out, and set MLFLOW_TRACKING_USERNAME and _PASSWORD")
        return uri

    trusted: bool = Field(
        False,
        description="Whether a model stored as a pickle may be loaded, which runs any code in it.",
    )
