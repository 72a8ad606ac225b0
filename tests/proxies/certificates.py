"""A certificate authority for the length of a test run, and the one certificate that it gives."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Certificates", "make_certificates"]

_VALID_FOR = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Files in PEM.

    Attributes:
        ca: what a client trusts.
        server: the certificate of ``localhost`` and ``127.0.0.1``, and its key after it.
    """

    ca: Path
    server: Path


def make_certificates(folder: Path) -> Certificates:
    """Writes an authority's certificate, and one that it has signed, into a folder."""
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _named("the tests' authority")
    made = Certificates(folder / "ca.pem", folder / "server.pem")
    made.ca.write_bytes(_pem(_signed(_authority(issuer, authority), authority)))
    server = _signed(_server(issuer, key, authority), authority)
    made.server.write_bytes(_pem(server) + _private_pem(key))
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _begun(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
    )


def _server(
    issuer: x509.Name, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    # Python 3.13 verifies strictly by RFC 5280, which wants the authority's key named.
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    return (
        _begun(_named("localhost"), issuer, key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(identifier, critical=False)
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock may be set back while the tests run.
        .not_valid_before(now - _VALID_FOR)
        .not_valid_after(now + _VALID_FOR)
    )


def _signed(
    builder: x509.CertificateBuilder, authority: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return builder.sign(authority, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
