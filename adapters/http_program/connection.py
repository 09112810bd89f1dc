"""The connection to a brand's HTTP endpoint: TLS against one given authority, nothing ambient.

No proxies or authorities from the environment, no redirects, no compression: what is signed is the
body as it travels. Each program has connections of its own, so that none waits for another's.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

CONNECTIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a brand's system is, and how it proves that it is."""

    base_url: str
    """`https://host[:port]/path`, without a slash at its end."""
    authority: Path
    """The certificates, in PEM, that may vouch for the server's."""
    certificate: Path | None = None
    """What the exchange shows when the server asks: in PEM, with the certificates that vouch for
    it."""
    private_key: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        url = httpx2.URL(self.base_url)
        if url.scheme != "https" or not url.host or url.query or url.fragment or url.userinfo:
            raise ValueError("base_url is https://host[:port]/path and nothing else")
        if self.base_url.endswith("/"):
            raise ValueError("base_url has no slash at its end")


def connect(endpoint: Endpoint, connections_max: int = CONNECTIONS_MAX) -> httpx2.AsyncClient:
    """A client for this endpoint, which whoever asked for it closes. Raises OSError or ssl.SSLError
    where a file is missing or is not what it should be.
    """
    context = ssl.create_default_context(cafile=str(endpoint.authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if endpoint.certificate is not None:
        context.load_cert_chain(endpoint.certificate, endpoint.private_key)
    return httpx2.AsyncClient(
        verify=context,
        trust_env=False,
        follow_redirects=False,
        # One time-out holds for the whole call, body included: see HttpProgram.
        timeout=None,
        limits=httpx2.Limits(max_connections=connections_max),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


def is_distrust(error: BaseException) -> bool:
    """Whether a connection failed because the server did not prove who it is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
