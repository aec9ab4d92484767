"""The steps of an audit, one file per kind of artefact; `layout` puts them together."""
