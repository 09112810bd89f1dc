"""The one form of an entry's JSON body, so that a repeat is the same bytes. Pure."""

import json

JSON_BODY = "application/json"
"""What the body of such an entry is."""


def json_body(body: object) -> bytes:
    """Keys in order, no white space, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
