"""A gateway with TLS: certificates by an authority with another one below it, and the volume that they come by."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import itertools
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from websockets.sync.client import ClientConnection, connect

from .gateway import Answer, Gateway, Installed, ask

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""The keys of a Secret of the type `kubernetes.io/tls`."""

Form = Literal["PKCS #8", "SEC 1", "PKCS #1"]
"""How a private key is written: any, one on a curve, one of RSA."""

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate, those of its issuers behind it, and its key, in PEM."""

    serial: int
    certificate: str
    key: str

    @property
    def data(self) -> dict[str, str]:
        """What a Secret has of it."""
        return {CERTIFICATE: self.certificate, KEY: self.key}


class Issuer:
    """An authority that has another one below it issue for it, as public ones do. `path` has its own certificate."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._root, self._between = _name("e2e root"), _name("e2e issuer")
        self._root_key, self._key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
        root = _certificate(self._root, self._root, self._root_key, self._root_key, authority=1)
        self._issuing = _certificate(self._between, self._root, self._key, self._root_key, authority=0)
        self.path = directory / "ca.crt"
        self.path.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def pair(self, *names: str, form: Form = "PKCS #8") -> Pair:
        """A new one for a server that has these names and addresses."""
        key: _Key = ec.generate_private_key(ec.SECP256R1())
        if form == "PKCS #1":
            key = rsa.generate_private_key(65537, 2048)
        own = _certificate(_name(names[0]), self._between, key, self._key, names)
        chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (own, self._issuing))
        kinds = serialization.PrivateFormat
        written = kinds.PKCS8 if form == "PKCS #8" else kinds.TraditionalOpenSSL
        pem = key.private_bytes(serialization.Encoding.PEM, written, serialization.NoEncryption())
        return Pair(own.serial_number, chain.decode(), pem.decode())


class SecretVolume:
    """A Secret's folder in a pod, as the kubelet writes it: all of its files change in the same moment.

    Each is a link into the folder that `..data` leads to, and that link is exchanged.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._numbers = itertools.count()

    def write(self, content: Mapping[str, str]) -> None:
        """Has these files there from now on, and no others."""
        data = self._place / "..data"
        old = data.resolve() if data.is_symlink() else None
        fresh = self._place / f"..2026_11_30_12_00_00.{next(self._numbers)}"
        fresh.mkdir()
        for name, text in content.items():
            (fresh / name).write_text(text)
            (fresh / name).chmod(0o440)
        link = self._place / "..data_tmp"
        link.symlink_to(fresh.name)
        os.rename(link, data)
        for name in content:
            file = self._place / name
            if not file.is_symlink():
                file.unlink(missing_ok=True)
                file.symlink_to(Path("..data", name))
        for file in self._place.iterdir():
            if not file.name.startswith("..") and file.name not in content:
                file.unlink()
        if old:
            shutil.rmtree(old)


@dataclass
class Served:
    """A replica with TLS, who vouches for it, and the folder that its certificate is in."""

    release: Installed
    gateway: Gateway
    issuer: Issuer
    volume: SecretVolume
    names: tuple[str, ...]
    """What its certificates are for, beside this machine's address."""
    pair: Pair
    """What was written there last and fits together."""

    def fresh(self, form: Form = "PKCS #8") -> Pair:
        """Another certificate for the same names."""
        return self.issuer.pair("127.0.0.1", *self.names, form=form)

    def renew(self, form: Form = "PKCS #8") -> Pair:
        """Puts another pair in the place of the one that is there, as a renewed Secret does."""
        self.pair = self.fresh(form)
        self.volume.write(self.pair.data)
        return self.pair

    def believed(self, version: ssl.TLSVersion | None = None, *protocols: str) -> ssl.SSLContext:
        """A client that believes the authority, and speaks one version, if one is given."""
        made = ssl.create_default_context(cafile=str(self.issuer.path))
        if version:
            made.minimum_version = made.maximum_version = version
        if protocols:
            made.set_alpn_protocols(list(protocols))
        return made

    def ask(self, target: str, path: str = "/", **headers: str) -> Answer:
        """A request through the proxy."""
        told = {"Host": f"{target}.example.org", **headers}
        return ask(self.gateway.proxy, "GET", path, told, tls=self.believed())

    def dial(self, target: str) -> ClientConnection:
        """A WebSocket to an app."""
        host, port = f"{target}.example.org", self.gateway.proxy
        stream = socket.create_connection(("127.0.0.1", port))
        url = f"wss://{host}:{port}/socket"
        return connect(url, sock=stream, ssl=self.believed(), open_timeout=30, max_size=4 << 20)

    def serial(self, port: int) -> int:
        """The number of the certificate that a new connection is shown."""
        with self.secured(port) as client:
            shown = ssl.DER_cert_to_PEM_cert(client.getpeercert(True) or b"")
        said = subprocess.run(
            ["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, text=True, check=True
        ).stdout
        return int(said.strip().removeprefix("serial="), 16)

    def secured(self, port: int, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection after its handshake."""
        stream = socket.create_connection(("127.0.0.1", port), 20)
        return (context or self.believed()).wrap_socket(stream, server_hostname=self.names[0])


def tls_secret(namespace: str, name: str, pair: Pair) -> dict[str, object]:
    """A Secret with a pair, of the type that the API server looks into."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in pair.data.items()},
    }


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: _Key,
    signing: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...] = (),
    authority: int | None = None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    constraints = x509.BasicConstraints(ca=authority is not None, path_length=authority)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(constraints, critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([_alternative(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(signing, hashes.SHA256())
