"""A channel with mutual TLS: the one authority that is trusted, and the certificate that says who
calls.
"""

from collections.abc import Sequence

import grpc

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The exchange's answers are the only large messages: 500 receipts of at most 6 KiB.
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
)
_LOOPBACK = ("localhost:", "127.0.0.1:", "[::1]:")


def open_channel(
    server: str,
    authority: bytes,
    certificate: bytes,
    tls_key: bytes,
    options: Sequence[tuple[str, int]] = (),
) -> grpc.Channel:
    """A channel to `host:port`; the others are PEM. Nothing is sent before the first call."""
    named = [*CHANNEL_OPTIONS, *options]
    if server.startswith(_LOOPBACK):
        # A proxy that the environment names cannot reach this machine.
        named.append(("grpc.enable_http_proxy", 0))
    credentials = grpc.ssl_channel_credentials(authority, tls_key, certificate)
    return grpc.secure_channel(server, credentials, options=named)
