"""TLS with the user's certificate files."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core.errors import BindError


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hearth's test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))
    return files


def test_it_answers_https(served, certificate) -> None:
    served.host.stop()
    served.settings.set("server.tls_certificate", str(certificate[0]))
    served.settings.set("server.tls_key", str(certificate[1]))
    address = served.host.start("127.0.0.1", 0).address
    assert address.startswith("https://")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"{address}/health").json() == {"status": "ok"}
        body = {"model": "fake", "messages": [{"role": "user", "content": "one"}], "stream": True}
        assert "one" in client.post(f"{address}/v1/chat/completions", json=body).text


def test_files_that_are_no_pair_are_told(served, certificate, tmp_path) -> None:
    served.host.stop()
    served.settings.set("server.tls_certificate", str(tmp_path / "missing.pem"))
    with pytest.raises(BindError, match="certificate can't be used"):
        served.host.start("127.0.0.1", 0)
    assert served.host.state().state == "failed"
    served.settings.set("server.tls_certificate", str(certificate[1]))
    with pytest.raises(BindError, match="certificate can't be used"):
        served.host.start("127.0.0.1", 0)
