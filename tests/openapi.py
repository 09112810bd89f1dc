"""The OpenAPI document of a program over HTTP, as tests read it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator.readers import read_from_filename

DOCUMENT: Mapping[str, Any] = read_from_filename(
    str(Path(__file__).parents[1] / "docs" / "http-program.yaml")
)[0]


def resolved(node: Any) -> Any:
    """A part of the document, or what its reference names."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def schema_and_examples(content: Any) -> tuple[Any, list[Any]]:
    """The schema of a body and its examples."""
    media = resolved(content)["content"]["application/json"]
    examples = [each["value"] for each in media.get("examples", {}).values()]
    return media["schema"], examples + ([media["example"]] if "example" in media else [])


def errors_of(value: Any, schema: Any) -> list[str]:
    """Why a value is not as a schema says."""
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    validator = OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)
    return [each.message for each in validator.iter_errors(value)]


def check(body: bytes, content: Any) -> None:
    """Fail unless a body is as a request or a response of the document says."""
    assert errors_of(json.loads(body), schema_and_examples(content)[0]) == []


def check_fields(headers: Mapping[str, str], documented: Iterable[Any]) -> None:
    """Fail unless the fields of a message are as the document says."""
    for each in map(resolved, documented):
        value = headers.get(each["name"])
        if value is None:
            assert not each["required"], each["name"]
        else:
            assert errors_of(value, each["schema"]) == []
