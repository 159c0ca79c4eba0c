"""Model calls through a company's own certificate authority."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from agent.system.certificates import check_extra_authorities, trusted_authorities


class Provider(BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, and its own authority, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    path = tmp_path / "ca.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=provider", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(path)]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    return path


@pytest.fixture
def provider(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("variable", ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
def test_a_provider_behind_an_authority_of_the_operator_is_trusted(
    provider: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with httpx.Client(verify=trusted_authorities({}), trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(provider)
    monkeypatch.setenv(variable, str(certificate))  # OpenSSL reads its own variable from the process itself
    with httpx.Client(verify=trusted_authorities({variable: str(certificate)}), trust_env=False) as client:
        assert client.get(provider).status_code == 204


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_used_is_named_and_ignored(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    environ = {"NODE_EXTRA_CA_CERTS": str(path)}
    assert f"NODE_EXTRA_CA_CERTS={path} is not used" in str(check_extra_authorities(environ))
    assert trusted_authorities(environ).cert_store_stats()["x509_ca"] > 50
