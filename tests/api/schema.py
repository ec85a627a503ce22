"""The part of JSON Schema 2020-12 that specs/openapi.yaml uses, and no more: a keyword that isn't known here is an error of the
specification, so that nothing in it goes unchecked."""

import re

ANNOTATIONS = {"description", "examples", "example", "default", "format", "title", "summary"}
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class Schemas:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        """What a $ref stands for; anything else is itself. Members beside a $ref are annotations here."""
        while isinstance(node, dict) and "$ref" in node:
            extra = set(node) - {"$ref"} - ANNOTATIONS
            if extra:
                raise ValueError(f"{node['$ref']} has {sorted(extra)} beside it")
            at = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            node = at
        return node

    def problems(self, schema, value, where="", closed=True):
        """What is wrong with `value`, a sentence each. `closed`: members that the schema doesn't name are wrong too, since a reply
        may not say what isn't documented."""
        schema = self.resolve(schema)
        out = []
        known = {"type", "enum", "const", "required", "properties", "additionalProperties", "items", "minimum", "maximum", "pattern", "minLength", "maxLength"}
        unknown = set(schema) - known - ANNOTATIONS
        if unknown:
            raise ValueError(f"schema keyword {sorted(unknown)} isn't checked")
        kind = schema.get("type")
        if kind:
            good = isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind in ("integer", "number"))
            if not good:
                return [f"{where or 'the value'} is {type(value).__name__} {value!r:.60}, wanted {kind}"]
        if "enum" in schema and value not in schema["enum"]:
            out.append(f"{where} is {value!r:.60}, none of {schema['enum']}")
        if "const" in schema and value != schema["const"]:
            out.append(f"{where} is {value!r:.60}, not {schema['const']!r}")
        if isinstance(value, str):
            if "pattern" in schema and not re.search(schema["pattern"], value):
                out.append(f"{where} is {value!r:.80}, which isn't like {schema['pattern']}")
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 40):
                out.append(f"{where} has {len(value)} characters")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if "minimum" in schema and value < schema["minimum"] or "maximum" in schema and value > schema["maximum"]:
                out.append(f"{where} is {value}, out of range")
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                out += self.problems(schema["items"], item, f"{where}[{i}]", closed)
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            more = schema.get("additionalProperties")
            for name in schema.get("required", []):
                if name not in value:
                    out.append(f"{where}.{name} is missing")
            for name, member in value.items():
                if name in properties:
                    out += self.problems(properties[name], member, f"{where}.{name}", closed)
                elif isinstance(more, dict):
                    out += self.problems(more, member, f"{where}.{name}", closed)
                elif more is False or (more is None and closed and properties):
                    out.append(f"{where}.{name} isn't documented")
        return out
