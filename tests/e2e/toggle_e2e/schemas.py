"""Comparing JSON schemas that say the same in their own ways."""

from __future__ import annotations

from typing import Any

# What schemas may say of a text in their own ways, and what they say to people.
OF_TEXTS = {"pattern", "minLength", "maxLength", "not", "uniqueItems", "description", "default"}


def shape(node: Any, schema: Any) -> Any:
    """The types, fields, words and bounds of a part of a schema, with what it refers to in its place."""
    if isinstance(node, list):
        return [shape(one, schema) for one in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for name, one in node.items():
        if name == "$ref":
            found |= shape(schema["$defs"][one.removeprefix("#/$defs/")], schema)
        elif name == "properties":
            found[name] = {field: shape(value, schema) for field, value in one.items()}
        elif name not in OF_TEXTS:
            found[name] = shape(one, schema)
    return found
