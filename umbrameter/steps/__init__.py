"""Every step of an audit, one file a kind of artefact; `layout` lays them all out."""
