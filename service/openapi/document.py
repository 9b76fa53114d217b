"""The description as a whole: what it is for, the paths, and the named schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from model import units
from service import administration, answers, schemas
from service.openapi.parts import HEADERS, NAME, REQUEST_ID, TRACEPARENT, Document, ref
from service.openapi.routes import paths

if TYPE_CHECKING:
    from pydantic import BaseModel

INTENDED_USE = (
    "For learning how a small model is trained, published and served, and as a pattern for such services. It predicts "
    "the gender *recorded* for adults in a health survey, and says nothing of anyone's identity: trans, intersex and "
    "non-binary people were not recorded as such. It must not decide about a person or fill in a record. Short men and "
    "tall women are mostly called wrong, and between 0.4 and 0.6 half of all answers are wrong. Classifying "
    "people by protected traits from body data may be regulated where it is used."
)
_DESCRIPTION = f"""The probability that an adult of some weight and height was recorded as female.

**Intended use.** {INTENDED_USE}

**Domain.** {units.WEIGHT_KG.domain} and {units.HEIGHT_CM.domain}, or {units.WEIGHT_LB.domain} and \
{units.HEIGHT_IN.domain}. The unit is in the field's name. Measurements are never logged, and never belong into an \
address.

**Errors** are problem details (RFC 9457). A path that is not here is answered with 404, a method that is not \
here with 405 and the header Allow.

Ignore members of an answer that you do not know: a later release may add some."""

_TOKEN: Document = {
    "type": "http",
    "scheme": "bearer",
    "description": "Its scopes: `predict`, `read`, `admin`. Where no token is configured, all but `admin` is open.",
}
_REQUESTS: dict[str, Any] = {
    "Measurements": schemas.Measurements,
    "Batch": schemas.Batch,
    "Columns": schemas.Columns,
    "AliasChange": administration.AliasChange,
    "Change": administration.Change,
}
_ANSWERS: tuple[type[BaseModel], ...] = (
    answers.Prediction,
    answers.BatchPredictions,
    answers.ColumnPredictions,
    answers.Versions,
    answers.VersionManifest,
    answers.Aliases,
    answers.Log,
    answers.Alive,
    answers.Ready,
    answers.Drift,
    answers.Problem,
    answers.InvalidBodyProblem,
    answers.ConflictProblem,
)


def document(release: str) -> Document:
    """The description of this release's API, as JSON can say it."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Stature",
            "version": release,
            "summary": "The probability of a recorded gender from weight and height.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Predict", "description": "By the champion, or by a version that is named."},
            {"name": "Registry", "description": "What is published, and what was promoted when."},
            {"name": "Administration", "description": "Which version answers: for those who have a token for it."},
            {"name": "Observation", "description": "What it is asked, and whether that is what it was trained for."},
            {"name": "Health", "description": "Whether the service lives, and whether it can answer."},
            {"name": "Pages", "description": "For people."},
        ],
        "paths": paths(),
        "components": {
            "schemas": _schemas(),
            "parameters": {"name": NAME, "request_id": REQUEST_ID, "traceparent": TRACEPARENT},
            "headers": HEADERS,
            "securitySchemes": {"token": _TOKEN},
        },
    }


class _Schemas(GenerateJsonSchema):
    """For generators of clients, which take the smaller of two kinds of numbers where they are not told."""

    def float_schema(self, schema: Any) -> Document:  # noqa: ANN401 - pydantic's own kind
        return super().float_schema(schema) | {"format": "double"}

    def default_schema(self, schema: Any) -> Document:  # noqa: ANN401
        """An answer has no defaults: what it leaves out has no value. Of a request's, a caller should know."""
        return self.generate_inner(schema["schema"]) if self.mode == "serialization" else super().default_schema(schema)


def _schemas() -> Document:
    adapters = [
        *((name, "validation", TypeAdapter(request)) for name, request in _REQUESTS.items()),
        *((answer.__name__, "serialization", TypeAdapter(answer)) for answer in _ANSWERS),
    ]
    template = "#/components/schemas/{model}"
    found, shared = TypeAdapter.json_schemas(adapters, ref_template=template, schema_generator=_Schemas)  # type: ignore[arg-type]
    top = {str(name): schema for (name, _), schema in found.items() if schema.get("$ref") != ref(str(name))["$ref"]}
    return dict(sorted((shared.get("$defs", {}) | top).items()))
