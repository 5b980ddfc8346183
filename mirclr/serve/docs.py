"""The description of all routes as a page, of the OpenAPI document; without scripts, so that none comes from elsewhere.

Contents: `install`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from markupsafe import Markup

from mirclr.serve.assets import digest_of_page

_METHODS = ("get", "post", "put", "patch", "delete", "head")


@dataclass(frozen=True)
class Field:
    """A parameter of a route, or a member of what it takes or answers; `kind` with links to what it names."""

    name: str
    kind: Markup
    about: str
    required: bool = False


@dataclass(frozen=True)
class Route:
    """A route: what it is asked with, takes and answers."""

    method: str
    path: str
    about: str
    parameters: tuple[Field, ...]
    takes: Markup
    answers: Markup

    @property
    def anchor(self) -> str:
        """By what a link names it."""
        return f"{self.method.lower()}{self.path}"


def install(app: FastAPI) -> None:
    """Serve the description at ``/docs``, made once."""
    page: list[str] = []

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        if not page:
            page.append(to_html(app.openapi()))
        return Response(page[0], media_type="text/html")


def to_html(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as a page."""
    from jinja2 import Environment, StrictUndefined

    groups: dict[str, list[Route]] = {}
    for path, methods in document["paths"].items():
        for method in filter(methods.__contains__, _METHODS):
            groups.setdefault((methods[method].get("tags") or ["other"])[0], []).append(_route(method, path, methods))
    schemas = document.get("components", {}).get("schemas", {})
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("docs.html.j2").read_text(encoding="utf-8"))
    return template.render(
        title=document["info"]["title"],
        version=document["info"]["version"],
        assets=f"/assets/{digest_of_page()}",
        groups=groups,
        schemas={name: (schema.get("description", ""), list(_members(schema))) for name, schema in schemas.items()},
    )


def _route(method: str, path: str, methods: Mapping[str, Any]) -> Route:
    route = methods[method]
    return Route(
        method=method.upper(),
        path=path,
        about=route.get("description") or route.get("summary", ""),
        parameters=tuple(_parameters(route)),
        takes=_content(route.get("requestBody", {})),
        answers=next((_content(of) for code, of in route["responses"].items() if code.startswith("2")), Markup("")),
    )


def _parameters(route: Mapping[str, Any]) -> Iterator[Field]:
    for one in route.get("parameters", ()):
        schema = one.get("schema", {})
        about = one.get("description") or schema.get("description", "")
        yield Field(one["name"], _kind(schema), about, one.get("required", False))


def _members(schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, of in schema.get("properties", {}).items():
        yield Field(name, _kind(of), of.get("description", ""), name in required)


def _content(of: Mapping[str, Any]) -> Markup:
    """What a body holds: the kind of its JSON, or the type of anything else."""
    texts = [
        _kind(content["schema"]) if kind == "application/json" and content.get("schema") else Markup.escape(kind)
        for kind, content in of.get("content", {}).items()
    ]
    return Markup(" or ").join(texts)


def _kind(schema: Mapping[str, Any]) -> Markup:
    """What a value is, in a few words: "list of Track", "number or null"."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if several := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return Markup(" or ").join(dict.fromkeys(map(_kind, several)))
    if "enum" in schema or "const" in schema:
        return Markup(" or ").join(
            Markup("<code>{}</code>").format(v) for v in schema.get("enum", [schema.get("const")])
        )
    match schema.get("type"):
        case "array":
            return Markup("list of {}").format(_kind(schema["items"])) if "items" in schema else Markup("list")
        case "object" if isinstance(of := schema.get("additionalProperties"), dict):
            return Markup("{} by name").format(_kind(of))
        case None:
            return Markup("anything")
        case kind:
            return Markup.escape({"string": "text", "integer": "whole number"}.get(kind, kind)) + _default(schema)


def _default(schema: Mapping[str, Any]) -> Markup:
    given = schema.get("default")
    return Markup(" ({})").format(given) if given not in (None, "", []) else Markup("")
