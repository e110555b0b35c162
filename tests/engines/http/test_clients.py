"""Over which way servers are asked, how much of a response is read, and why there was no connection."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.anthropic.engine import AnthropicEngine
from microg_bench.engines.base import Engine
from microg_bench.engines.gemini.engine import GeminiEngine
from microg_bench.engines.http.clients import check_proxy, proxy_of, within
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Response
from tests.engines.conftest import answers, job_of
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire
from tests.helpers.tls import self_signed

pytestmark = pytest.mark.slow

KINDS: list[Any] = [
    (ServerEngine, OpenAIWire),
    (GeminiEngine, GeminiWire),
    (AnthropicEngine, AnthropicWire),
]
NOBODY = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "AIzaSy0123456789")
    for name in ("GOOGLE_API_KEY", "OPENAI_API_KEY", *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


def told(kind: type[Engine], url: str, timeout: float = 60.0) -> str:
    """Why the engine does not start. A client tries three times within `timeout`, and waits in between."""
    with pytest.raises(EngineError) as caught:
        kind(Options(url=(url,), checkpoint="m", timeout=timeout)).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "wire"), KINDS)
@pytest.mark.parametrize("proxy", [NOBODY, "socks5://127.0.0.1:9", "nonsense:::"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, kind: Any, wire: Any, proxy: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    with FaultServer(wire) as server:
        engine = kind(Options(url=(server.url,), checkpoint="m", timeout=60.0))
        engine.start()
        assert isinstance(answers(engine, [job_of(0)])[0], Response)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [(ServerEngine, "http"), (ServerEngine, "https"), (GeminiEngine, "https"), (AnthropicEngine, "https")],
)
def test_a_proxy_that_fails_is_named_without_its_login(
    monkeypatch: pytest.MonkeyPatch, kind: Any, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://user:hunter22@127.0.0.1:9/")
    url = f"{scheme}://api.example.com/v1"
    way = f"{url} through the proxy {NOBODY} cannot be reached: connection refused"
    assert told(kind, url) == way


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
def test_what_a_proxy_says_is_told(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Silence."""

        def do_CONNECT(self) -> None:
            self.send_error(403, "Not from here")

        def do_GET(self) -> None:
            self.send_error(407, "Proxy Authentication Required")

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        where = f"http://127.0.0.1:{proxy.server_address[1]}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, where)
        assert told(kind, "https://api.example.com/v1").endswith(
            f"through the proxy {where} cannot be reached: the proxy says 403 Not from here"
        )
        if kind is ServerEngine:  # the other has a key, which is not sent over http
            assert f"through the proxy {where}: 407" in told(kind, "http://api.example.com/v1")
        proxy.shutdown()


def test_the_proxy_of_an_address_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("all_proxy", "socks5://me:secret@other:1080/path")
    monkeypatch.setenv("no_proxy", "inside.example.com")
    assert proxy_of("http://example.com/v1") == "http://proxy:3128"
    assert proxy_of("https://example.com/v1") == "socks5://other:1080"
    assert proxy_of("http://inside.example.com/v1") is None
    assert proxy_of("http://127.0.0.1/v1") is None


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
@pytest.mark.parametrize("value", ["htp:/bad", "htp://bad", "nonsense:::", "http://", "://h:1"])
def test_what_is_no_address_of_a_proxy_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: Any, value: str
) -> None:
    monkeypatch.setenv("all_proxy", value)
    assert (
        told(kind, "https://nobody.invalid/v1")
        == f"all_proxy: not an address of a proxy (http://HOST:PORT): {value!r}"
    )
    monkeypatch.setenv("https_proxy", "user:hunter22@" + value)
    assert "hunter22" not in told(kind, "https://nobody.invalid/v1")


@pytest.mark.parametrize(
    "value", ["proxy", "proxy:3128", "http://me:secret@proxy:3128/", "socks5h://[::1]:9/x"]
)
def test_what_may_be_a_proxy_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    check_proxy("https://example.com/v1")


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
def test_a_host_without_an_address_is_told(kind: Any) -> None:
    assert "cannot be reached: the host is not known" in told(kind, "https://nobody.invalid/v1")


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
def test_why_a_certificate_is_refused_is_told(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with self_signed(tmp_path) as (port, certificate):
        refused = "cannot be reached: its certificate is refused: self-signed certificate"
        assert refused in told(kind, f"https://localhost:{port}/v1")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert "not valid for '127.0.0.1'" in told(kind, f"https://127.0.0.1:{port}/v1")
        assert "501" in told(kind, f"https://localhost:{port}/v1")


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
def test_a_server_that_wants_tls_is_told(kind: Any, tmp_path: Path) -> None:
    with self_signed(tmp_path) as (port, _):
        assert "give an address of https" in told(kind, f"http://localhost:{port}/v1")


@pytest.mark.parametrize("kind", [ServerEngine, GeminiEngine, AnthropicEngine])
def test_a_server_without_tls_is_told(kind: Any) -> None:
    with FaultServer() as plain:
        assert "cannot be reached: TLS failed" in told(kind, plain.url.replace("http:", "https:"))


@pytest.mark.parametrize(("kind", "wire"), KINDS)
@pytest.mark.parametrize("fault", ["trickle", "silent"])
def test_the_question_at_the_start_ends_in_time(kind: Any, wire: Any, fault: str) -> None:
    with FaultServer(wire) as server:
        server.checks = fault
        assert told(kind, server.url, 0.5) == f"{server.url}: no answer within 0.5 s"


@pytest.mark.parametrize(("kind", "wire"), KINDS)
def test_a_list_of_models_without_end_is_not_read(kind: Any, wire: Any) -> None:
    with FaultServer(wire) as server:
        server.checks = "endless"
        assert "it is longer than 16 MB" in told(kind, server.url)


def test_what_takes_too_long_is_left_behind() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}["a"])
    with pytest.raises(TimeoutError):
        within(0.01, threading.Event().wait)
