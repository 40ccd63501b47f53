"""The endpoint in OpenAPI's words, written by hand: its routes are no views that could be inspected."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from events import validation
from events.api.routes import ROUTES

_ID = {"type": ["string", "number", "null"], "maxLength": validation.ID_LENGTH}
_OBJECT = {"type": ["object", "null"]}
_MESSAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": sorted(validation.TYPES)},
        "messageId": {"type": "string", "maxLength": validation.MESSAGE_ID_LENGTH},
        "userId": _ID,
        "anonymousId": _ID,
        "previousId": _ID,
        "groupId": _ID,
        "event": {"type": "string", "maxLength": validation.NAME_LENGTH},
        "name": {"type": ["string", "null"]},
        "timestamp": {"type": ["string", "number", "null"]},
        "originalTimestamp": {"type": ["string", "number", "null"]},
        "sentAt": {"type": ["string", "number", "null"]},
        "context": _OBJECT,
        "properties": _OBJECT,
        "traits": _OBJECT,
        "integrations": {},
    },
    "additionalProperties": True,
}
_OUTCOME: dict[str, Any] = {
    "type": "object",
    "required": ["index", "messageId", "status"],
    "properties": {
        "index": {"type": "integer", "minimum": 0},
        "messageId": {"type": ["string", "null"]},
        "status": {"type": "string", "enum": ["stored", "duplicate", "rejected"]},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "warnings": {
            "description": "What is wrong with an event that was stored all the same.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_REPORT: dict[str, Any] = {
    "type": "object",
    "required": ["success", "stored", "duplicates", "rejected", "events"],
    "properties": {
        "success": {"type": "boolean"},
        "stored": {"type": "integer", "minimum": 0},
        "duplicates": {"type": "integer", "minimum": 0},
        "rejected": {"type": "integer", "minimum": 0},
        "events": {"type": "array", "items": {"$ref": "#/components/schemas/Outcome"}},
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["success", "code", "message"],
    "properties": {
        "success": {"type": "boolean"},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
}
_ERRORS = {
    400: "The body cannot be read as JSON.",
    401: "The write key is missing, unknown or revoked.",
    403: "The request did not come over https.",
    405: "Only POST is answered.",
    413: "The body is too large.",
    415: "The Content-Encoding is not supported.",
    429: "More events than the key's rate allows.",
    500: "Something went wrong here; nothing was stored.",
    503: "Events cannot be stored at the moment; nothing was.",
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of every route."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Event endpoint",
            "version": "1.0.0",
            "description": "Segment-compatible: point any Segment SDK's host at this origin. "
            "200 means that every event is durable: stored, known already, or in quarantine.",
        },
        "servers": [{"url": settings.SITE_URL}],
        "paths": {path: {"post": _operation(path)} for path in ROUTES},
        "components": {
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The write key as user name, an empty password.",
                },
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                "Message": _MESSAGE,
                "Batch": {
                    "type": "object",
                    "required": ["batch"],
                    "properties": {
                        "batch": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/Message"},
                        },
                        "sentAt": {"type": ["string", "number", "null"]},
                        "writeKey": {"type": "string"},
                        "context": _OBJECT,
                    },
                    "additionalProperties": True,
                },
                "Report": _REPORT,
                "Outcome": _OUTCOME,
                "Error": _ERROR,
            },
        },
    }


def _operation(path: str) -> dict[str, Any]:
    route = ROUTES[path]
    what = "Message" if route.type else "Batch"
    errors: dict[str, Any] = {
        str(status): {
            "description": words,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, words in _ERRORS.items()
    }
    for status in ("429", "503"):
        errors[status]["headers"] = {
            "Retry-After": {
                "description": "Whole seconds to wait",
                "required": True,
                "schema": {"type": "integer", "minimum": 1, "maximum": 300},
            }
        }
    return {
        "operationId": path.strip("/").replace("/", "_"),
        "summary": f"One {route.type} call" if route.type else "A batch of calls",
        "security": [{"basic": []}, {"bearer": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{what}"}}},
        },
        "responses": {
            "200": {
                "description": "Durable. What became of each event stands in `events`.",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Report"}}
                },
            },
            **errors,
        },
    }


@require_GET
def schema(_request: HttpRequest) -> JsonResponse:
    """The OpenAPI document."""
    return JsonResponse(document())
