"""The example brand that speaks HTTP, made to answer wrongly: a program of its own, for tests.

The file `fault` in its profile names what is wrong with the answers from then on; without it they
are right. Whatever the fault, the brand has acted before: that is what makes it dangerous.
"""

import asyncio
import base64
import hashlib
import importlib.util
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import RedirectResponse, Response, StreamingResponse

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "http-brand" / "brand.py"


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("brand", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["brand"] = module
    spec.loader.exec_module(module)
    return module


brand: Any = _example()


class FaultyBrand(brand.Brand):  # type: ignore[misc]
    """Acts rightly, and answers as its folder's file says."""

    folder: Path
    signatures: Any

    @property
    def fault(self) -> str:
        """The fault of the hour."""
        path = self.folder / "fault"
        return path.read_text() if path.exists() else ""

    def routes(self) -> list[Any]:
        """The example's, and where its redirect leads."""

        async def followed(request: Any) -> Response:
            (self.folder / "followed").touch()
            return Response()

        elsewhere = brand.Route("/elsewhere", followed, methods=["GET", "POST"])
        return [*super().routes(), elsewhere]

    async def respond(self, *question: Any) -> Response:
        """The answer, when its time has come."""
        response: Response = await super().respond(*question)
        if self.fault == LATE:
            await asyncio.sleep(60)
        return response

    def signed(self, asked_by: Any, answer: dict[str, Any]) -> Response:
        """The answer, with its fault."""
        fault = FAULTS.get(self.fault)
        return fault(self, asked_by, answer) if fault else self.right(asked_by, answer)

    def right(self, asked_by: Any, answer: Any) -> Response:
        """As the example answers."""
        response: Response = super().signed(asked_by, answer)
        return response

    def signed_with(self, key: Ed25519PrivateKey, asked_by: Any, answer: Any) -> Response:
        """As it answers, by another key."""
        own, self.signatures = self.signatures, brand.Signatures(key, [])
        try:
            return self.right(asked_by, answer)
        finally:
            self.signatures = own

    def covering(self, components: tuple[str, ...], asked_by: Any, answer: Any) -> Response:
        """As it answers, with a signature that covers something else."""
        body = brand.json.dumps(answer).encode()
        response = brand.HttpResponse(200, asked_by, {"X-Member": "anna"})
        self.signatures._signer.sign(
            response,
            key_id=self.signatures.key_id,
            tag="pointclear",
            covered_component_ids=components,
            body=body,
        )
        return Response(body, 200, response.headers, media_type="application/json")


def unsigned(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """No signature."""
    return Response(brand.json.dumps(answer), media_type="application/json")


def forged(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """A signature that does not fit: one character of it is another."""
    response = own.right(asked_by, answer)
    label, _, signature = response.headers["signature"].partition("=:")
    flipped = "B" if signature[0] == "A" else "A"
    response.headers["signature"] = f"{label}=:{flipped}{signature[1:]}"
    return response


def by_an_unknown_key(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """A key that nobody registered."""
    return own.signed_with(Ed25519PrivateKey.generate(), asked_by, answer)


def by_another_brands_key(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """A registered key, not this brand's."""
    seed = (own.folder / "other-brands-seed").read_bytes()
    return own.signed_with(Ed25519PrivateKey.from_private_bytes(seed), asked_by, answer)


def by_the_agreements_key(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The brand's own key, for something else."""
    seed = (own.folder / "agreements-seed").read_bytes()
    return own.signed_with(Ed25519PrivateKey.from_private_bytes(seed), asked_by, answer)


def digest_mismatch(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The body was exchanged after it was signed."""
    response = own.right(asked_by, answer)
    response.body = bytes(response.body).replace(b'"points": "100"', b'"points": "900"')
    return response


def covers_no_digest(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The body is not signed."""
    body = brand.json.dumps(answer).encode()
    response = brand.HttpResponse(200, asked_by)
    own.signatures._signer.sign(
        response,
        key_id=own.signatures.key_id,
        tag="pointclear",
        covered_component_ids=("@status", '"signature";req;key="pointclear"'),
    )
    return Response(body, 200, response.headers, media_type="application/json")


def covers_no_request(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The answer would fit any request."""
    return own.covering(("@status", "content-digest"), asked_by, answer)


def covers_more(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The signature covers a field with a member reference in it, which would be kept."""
    components = ("@status", "content-digest", '"signature";req;key="pointclear"', "x-member")
    return own.covering(components, asked_by, answer)


def replayed(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The answer to an earlier request, word for word."""
    kept = own.folder / "kept"
    if not kept.exists():
        response = own.right(asked_by, answer)
        held = dict(response.headers) | {"body": bytes(response.body).decode()}
        kept.write_text(brand.json.dumps(held))
        return response
    headers = brand.json.loads(kept.read_text())
    return Response(headers.pop("body"), headers=headers)


def redirect(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """Sends the exchange elsewhere."""
    return RedirectResponse(asked_by.url.replace("/credits", "/elsewhere"), 307)


def html(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """A page for people, with 200."""
    return Response("<html><body>We will be back soon</body></html>", media_type="text/html")


def not_json(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """Signed, and no JSON."""
    body = b"{"
    headers = own.signatures.sign(brand.HttpResponse(200, asked_by), body)
    return Response(body, 200, headers, media_type="application/json")


def failed(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """An error of the brand's."""
    return Response(status_code=500)


def working(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """Not done yet."""
    return Response(status_code=202)


def huge(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """A body that does not end."""

    def endless() -> Any:
        while True:
            yield b" " * 65536

    return StreamingResponse(endless(), media_type="application/json")


def cut(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The connection is lost in the middle of the answer: fewer bytes than were announced."""
    response = own.right(asked_by, answer)
    whole = bytes(response.body)

    def half() -> Any:
        yield whole[: len(whole) // 2]

    return StreamingResponse(half(), headers=dict(response.headers))


def drip(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
    """The answer comes, a byte a second."""

    def slowly() -> Any:
        for each in brand.json.dumps(answer).encode():
            yield bytes([each])
            time.sleep(1)

    return StreamingResponse(slowly(), media_type="application/json")


def saying(**other: Any) -> Callable[[FaultyBrand, Any, Any], Response]:
    """Rightly signed, and says something else; None leaves a member out."""

    def fault(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
        said = {k: v for k, v in (answer | other).items() if v is not None}
        return own.right(asked_by, said)

    return fault


def fulfilling(committed: bytes, header: str) -> Callable[[FaultyBrand, Any, Any], Response]:
    """A code in place of points, with what is signed of it and what comes."""

    def fault(own: FaultyBrand, asked_by: Any, answer: Any) -> Response:
        digest = hashlib.sha256(committed).hexdigest()
        response = own.right(asked_by, answer | {"fulfilment_sha256": digest})
        response.headers["Pointclear-Fulfilment"] = header
        return response

    return fault


def byte_sequence(content: bytes) -> str:
    """As a Structured Field."""
    return f":{base64.b64encode(content).decode()}:"


SEALED = bytes(range(256)) * 4
LATE = "late"
OTHER_ID = "01900000-0000-7000-8000-000000000000"

FAULTS: Mapping[str, Callable[[FaultyBrand, Any, Any], Response]] = {
    **{
        each.__name__: each
        for each in (
            unsigned,
            forged,
            by_an_unknown_key,
            by_another_brands_key,
            by_the_agreements_key,
            digest_mismatch,
            covers_no_digest,
            covers_no_request,
            covers_more,
            replayed,
            redirect,
            html,
            not_json,
            failed,
            working,
            huge,
            cut,
            drip,
        )
    },
    "other_id": saying(instruction_id=OTHER_ID),
    "other_kind": saying(kind="REVERSE"),
    "other_program": saying(program="another"),
    "other_audience": saying(audience="elsewhere/production"),
    "other_partner": saying(partner_id="another"),
    "other_points": saying(points="99"),
    "points_as_number": saying(points=100),
    "no_points": saying(points=None),
    "no_outcome": saying(outcome="MAYBE"),
    "never": saying(outcome="NEVER", points=None),
    "no_reason": saying(outcome="DECLINED", points=None),
    "changed": saying(outcome="DECLINED", points=None, program_reference=None, reason="LIMIT"),
    "with_member": saying(member="anna"),
    "long_reference": saying(program_reference="x" * 65),
    "fulfilled": fulfilling(SEALED, byte_sequence(SEALED)),
    "fulfilment_other": fulfilling(SEALED, byte_sequence(SEALED[1:])),
    "fulfilment_huge": fulfilling(SEALED + b"x", byte_sequence(SEALED + b"x")),
    "fulfilment_garbled": fulfilling(SEALED, "code"),
    "fulfilment_missing": saying(fulfilment_sha256="00" * 32),
}


def open_faulty(given: Any, base_url: str) -> FaultyBrand:
    """The brand of a command line."""
    right = brand.open_brand(given, base_url)
    faulty = FaultyBrand(right.profile, right.journal, right.signatures)
    faulty.folder = given.profile
    return faulty


if __name__ == "__main__":
    brand.main(open_faulty)
