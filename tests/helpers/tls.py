"""A server whose certificate nobody has signed."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Made for these tests: for the name localhost, valid until 2126. The key is no secret.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBVySz2hyrwDEERrY
SHd3cXS0TXPnK2FMNr/vRb5KVRihRANCAARtfouukm4uZ6xPs2QyzDpL481N6iXD
MTsXl0Ly/TTfE5CTCazWmr8FFuErtyKg/CKo3bbYC+igMxMgrPRSrwON
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUXLF01CzFoX0VgiUwepaVwHwk+S8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNjAxNTU0NFoYDzIxMjYxMTAy
MDE1NTQ0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARtfouukm4uZ6xPs2QyzDpL481N6iXDMTsXl0Ly/TTfE5CTCazWmr8F
FuErtyKg/CKo3bbYC+igMxMgrPRSrwONo2kwZzAdBgNVHQ4EFgQUIOk5c3TIHZQO
OQUdYVgL/LqOgIMwHwYDVR0jBBgwFoAUIOk5c3TIHZQOOQUdYVgL/LqOgIMwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhANJG8dMs3TygIDayEJQ9Hk0Xyv9j1BW0fgn6YleHRyy+AiAv1uR/QRau
YtmaU8qUEosgqV8eDR9eP9FqkqSbnmVm/Q==
-----END CERTIFICATE-----
"""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news."""


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def self_signed(folder: Path) -> Iterator[tuple[int, Path]]:
    """The port of the server, which knows no page, and the file of its certificate."""
    file = folder / "certificate.pem"
    file.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with _Quiet(("127.0.0.1", 0), _Silent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1], file
        server.shutdown()
