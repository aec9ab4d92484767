"""The reference of all settings, `docs/reference.md`, made from the models: what they say is written there alone.

Belongs here: how a model becomes a table. Does not belong here: what a setting means; that is its field's description,
with an example in `examples` unless its type shows one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from umbrameter.dotted_paths import NAME_OF_A_KIND
from umbrameter.errors import SpecError, one_of
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.fields import example_of, example_value, in_yaml, kind_of, models_in
from umbrameter.spec.score import ScoreSpec
from umbrameter.spec.sweep import AXES

INTRODUCTION = """\
# Settings

Every setting of a spec: its type, its default, what it means, and how to write it. `make reference` writes this page
from the settings' own descriptions; `umbrameter reference attacks` prints one section of it.

```yaml
name: churn
data: {kind: parquet, path: customers.parquet, label: churned}
split: {members: 5000}
target: {kind: train, estimator: random_forest}
shadows: {count: 32}
attacks: [lira, loss, {kind: rmia, temperature: 1.0}]
mitigations: [label_only, {kind: rounding, decimals: 1}]
```

- **A kind alone** may be written by its name: `lira` is `{kind: lira}`. With settings of its own it is a mapping:
  `{kind: top_k, k: 3}`.
- **A class from another package** is named by its dotted path, `{kind: my_package.attacks.Mine}`; see
  [adding](adding.md).
- **On the command line**, `--set KEY=VALUE` replaces a setting, as often as needed. The value is YAML. A dot leads into
  sections, a number into lists: `--set shadows.count=64`, `--set attacks.0.kind=lira`. The number after the last entry
  adds one, such as `--set attacks.3=gap` to three attacks. Where the spec leaves a list out, its entries are those of
  the default. Another `kind` drops the settings that only the former kind has.
- **What is wrong** is said for all settings at once, each with its place, its value, and the name that was probably
  meant. Rules across settings come after that, since they need settings that are valid. `umbrameter validate SPEC`
  checks a spec without running it.
- **Unset** settings have no value (`null`); the sentence says what happens then.
"""

SCORES = """\
`umbrameter score ANSWERS --spec SPEC` reads these settings. A spec of an audit will do, too: its other settings are
checked, and not used.
"""

SWEEPS = """\
A spec in which one of these settings is a list is a sweep: the same audit at each value, with one table and one figure
for all. An example is `split: {members: [500, 1000, 2000]}`. One setting may vary at a time.
"""


@dataclass(frozen=True)
class Section:
    """The settings of one model, and where in a spec they are written; `names` are those that find it."""

    title: str
    level: int
    model: type[BaseModel] | None
    text: str
    names: tuple[str, ...]


def page(name: str | None = None) -> str:
    """Return the reference as Markdown.

    Parameters
    ----------
    name
        A place in a spec, such as `attacks` or `target.estimator`, or a kind, such as `lira`, to return their sections
        alone; None for the whole page.

    Raises
    ------
    SpecError
        When there is no such section.
    """
    sections = _sections()
    titles = {section.model: section.title for section in sections if section.model is not None}
    chosen = [section for section in sections if name is None or _is_called(section, name)]
    if not chosen:
        names = dict.fromkeys(name for section in sections for name in section.names)
        raise SpecError(f"SECTION={name!r} is not a section; {one_of(name, names, 'the sections are', 100)}")
    return "\n".join([*([INTRODUCTION] if name is None else []), *(_rendered(section, titles) for section in chosen)])


def _link(title: str) -> str:
    """Return the link to a heading, whose address is made as GitHub makes it."""
    address = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{address})"


def _is_called(section: Section, name: str) -> bool:
    return any(other == name or other.startswith(f"{name}.") for other in section.names)


def _sections() -> list[Section]:
    """Return all sections in order of the page; each model has one, where it is first needed."""
    places = {name: models_in(field.annotation) for name, field in AuditSpec.model_fields.items()}
    known = {model for models in places.values() for model in models}
    audit = Section("The whole audit", 2, AuditSpec, "", ("audit",))
    inner = [section for name in places for section in _below(AuditSpec, name, name, 2, places[name], known)]
    score = Section("Stored predictions", 2, ScoreSpec, SCORES, ("score",))
    sweep = Section("Sweeps", 2, None, f"{SWEEPS}\n{_axes()}", ("sweep",))
    return [audit, *inner, score, sweep]


def _below(
    owner: type[BaseModel],
    name: str,
    path: str,
    level: int,
    models: Sequence[type[BaseModel]],
    known: set[type[BaseModel]],
) -> Iterator[Section]:
    """Yield the sections of the models that a setting holds, and of those within them that have none yet."""
    if not models:
        return
    text = f"{owner.model_fields[name].description}\n"
    if len(models) == 1:
        text = text if owner is AuditSpec else _meaning(models[0])  # another setting may hold the same model
        yield Section(f"`{path}`", level, models[0], text, (path,))
    else:
        yield Section(f"`{path}`", level, None, text, (path,))
        for model in models:
            kind = kind_of(model) or model.__name__.lower()
            yield Section(f"`{path}`: `{kind}`", level + 1, model, _meaning(model), (f"{path}.{kind}", kind))
    for model in models:
        for inner, field in model.model_fields.items():
            new = [other for other in models_in(field.annotation) if other not in known]
            known.update(new)
            yield from _below(model, inner, f"{path}.{inner}", 3, new, known)


def _meaning(model: type[BaseModel]) -> str:
    """Return a model's meaning: its kind's description, or the first line of its docstring."""
    kind = model.model_fields.get("kind")
    return f"{kind.description if kind else str(model.__doc__).splitlines()[0]}\n"


def _rendered(section: Section, titles: Mapping[type[BaseModel], str]) -> str:
    parts = [f"{'#' * section.level} {section.title}\n", *([section.text] if section.text else [])]
    model = section.model
    if model is not None:
        if kind_of(model):
            example = example_of(model)
            parts.append(f"Shortest: `{example['kind'] if len(example) == 1 else in_yaml(example)}`\n")
        names = [name for name in model.model_fields if not (name == "kind" and kind_of(model))]
        parts += [_table(model, names, titles)] if names else []
    return "\n".join(parts)


def _table(model: type[BaseModel], names: Sequence[str], titles: Mapping[type[BaseModel], str]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [("setting", "type", "default", "meaning", "example"), ("---",) * 5]
    for name in names:
        field = model.model_fields[name]
        kind = _type(properties[name], models_in(field.annotation), titles)
        value = example_value(field)
        if value is None:
            raise ValueError(
                f"{model.__name__}.{name} has no example, and its type shows none; add examples=[...] to it"
            )
        example = f"`{in_yaml({name: value})[1:-1]}`"
        rows.append((f"`{name}`", kind, _default(field), str(field.description), example))
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in escaped)


def _type(schema: Mapping[str, Any], models: Sequence[type[BaseModel]], titles: Mapping[type[BaseModel], str]) -> str:
    """Return a type in words, from its JSON schema."""
    if "anyOf" in schema:
        # The page says once, above, that settings may be unset and kinds be named.
        parts = [part for part in schema["anyOf"] if part.get("title") != NAME_OF_A_KIND and part.get("type") != "null"]
        return " or ".join(_type(part, models, titles) for part in parts)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{choice}`" for choice in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        least = f", at least {schema['minItems']}" if "minItems" in schema else ""
        return f"list of {_type(schema['items'], models, titles)}{least}"
    if "oneOf" in schema or "$ref" in schema:
        return _linked(models, titles) if models else "anything"
    words = {"string": "text", "boolean": "`true` or `false`", "object": "mapping", None: "anything"}
    kind = schema.get("type")
    return ", ".join(
        [words.get(kind, str(kind)), *(f"{word} {schema[key]}" for key, word in BOUNDS.items() if key in schema)]
    )


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
"""Bounds in a JSON schema, and their words."""


def _linked(models: Sequence[type[BaseModel]], titles: Mapping[type[BaseModel], str]) -> str:
    """Return links to what may be written: to a whole section if most of its kinds may be, else to each of them."""
    path = titles[models[0]].partition(": ")[0]
    n_kinds = sum(title.startswith(f"{path}: ") for title in titles.values())
    return _link(path) if 2 * len(models) > n_kinds > 0 else " or ".join(_link(titles[model]) for model in models)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    try:
        default = field.get_default(call_default_factory=True, validated_data={})
    except ValidationError:  # an attack model's network, where `umbrameter[networks]` is not installed
        return "not available here"
    if isinstance(default, BaseModel):
        kind = getattr(default, "kind", None)
        default = {"kind": kind} | default.model_dump(include=default.model_fields_set) if kind else {}
    if isinstance(default, tuple):
        default = [_short(entry) for entry in default]
    return "unset" if default is None else f"`{in_yaml(_short(default))}`"


def _short(value: Any) -> Any:
    """Return a kind without settings as its name, all else unchanged."""
    return value["kind"] if isinstance(value, dict) and [*value] == ["kind"] else value


def _axes() -> str:
    return "| setting | its name in figures |\n| --- | --- |\n" + "".join(
        f"| `{a}` | {name} |\n" for a, name in AXES.items()
    )
