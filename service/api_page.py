"""`/openapi.json`, and `/docs`, which shows it to people: one plain page, no script, nothing from another host."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from flask import Response, render_template
from markupsafe import Markup, escape

from service.page import as_page

if TYPE_CHECKING:
    from flask import Flask

    from service.openapi.parts import Document


def add_api_page(app: Flask) -> None:
    """GET /openapi.json and GET /docs. Each is made when it is first asked for."""

    @cache
    def described() -> Document:
        from service.openapi.document import document  # noqa: PLC0415 - it takes long to import, and few ask for it

        return document(metadata.version("stature"))

    @cache
    def page() -> bytes:
        about = described()
        return render_template(
            "docs.html",
            api=about,
            schemas=about["components"]["schemas"],
            operations=list(_operations(about)),
            resolve=lambda part: _resolve(about, part),
            type_of=_type_of,
            prose=_prose,
            in_one_line=json.dumps,
            in_lines=lambda value: json.dumps(value, indent=2),
        ).encode()

    @app.get("/openapi.json")
    def description() -> Response:
        return Response(json.dumps(described()), mimetype="application/json")

    @app.get("/docs")
    def docs() -> Response:
        return as_page(page(), ".html")


def _operations(about: Document) -> list[Document]:
    """Every operation with its path and method, tag by tag."""
    found = [
        operation | {"path": path, "method": method.upper()}
        for path, methods in about["paths"].items()
        for method, operation in methods.items()
    ]
    order = [tag["name"] for tag in about["tags"]]
    return sorted(found, key=lambda operation: order.index(operation["tags"][0]))


def _resolve(about: Document, part: Document) -> Document:
    """What a reference within the document names; anything else is itself."""
    if "$ref" not in part:
        return part
    found = about
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _prose(text: str) -> Markup:
    """The three marks of Markdown that our descriptions use, as HTML."""
    marked = str(escape(text))
    for mark, tag in ((r"\*\*", "strong"), (r"\*", "em"), ("`", "code")):
        marked = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", marked)
    return Markup(marked)  # noqa: S704 - escaped above


def _type_of(schema: Document) -> list[tuple[str, str]]:
    """A schema in a few words: (text, the named schema that it links to, or nothing)."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [(name, name)]
    if alternatives := schema.get("oneOf", schema.get("anyOf")):
        words = [word for one in alternatives for word in ((" or ", ""), *_type_of(one))]
        return words[1:]
    if schema.get("type") == "array":
        one, *others = schema.get("prefixItems", [schema.get("items", {})])
        return [(f"list of {len(others) + 1}: " if others else "list of ", ""), *_type_of(one)]
    if isinstance(schema.get("additionalProperties"), dict):
        return [("names, each to ", ""), *_type_of(schema["additionalProperties"])]
    return [(_plain_type(schema), "")]


def _plain_type(schema: Document) -> str:
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(json.dumps(value) for value in values)
    least = f" from {schema['minimum']:,.12g}" if "minimum" in schema else ""
    most = f" to {schema['maximum']:,.12g}" if "maximum" in schema else ""
    return f"{schema.get('format', schema.get('type', 'anything'))}{least}{most}"
