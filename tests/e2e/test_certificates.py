"""The commands of docs/certificates.md, run as they stand there; and what OpenSSL makes and the bot refuses."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from toggle_e2e.bot import run_to_end
from toggle_e2e.keycloak import REPOSITORY
from toggle_e2e.standins import StandIn, join, read_head

PAGE = (REPOSITORY / "docs" / "certificates.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HOST = "matrix.example.com"
ONE_LINER = "openssl req -x509 -nodes -keyout server.key -out server.crt -subj /CN=x -newkey"
SAN = f"-addext subjectAltName=DNS:{HOST}"


class Homeserver(StandIn):
    """Lists its versions by TLS and knows nothing else."""

    def __init__(self, directory: Path) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(directory / "server.crt", directory / "server.key")
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with self._tls.wrap_socket(connection, server_side=True) as secured:
            while head := read_head(secured):
                known = " /_matrix/client/versions " in head
                body = json.dumps({"versions": ["v1.11"]} if known else {"errcode": "M_UNRECOGNIZED", "error": ""})
                status = "200 OK" if known else "404 Not Found"
                secured.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


class Way(StandIn):
    """A proxy that leads to one port, whatever host is asked for."""

    def __init__(self, target: int) -> None:
        self._target = target
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        read_head(connection)
        with socket.create_connection(("127.0.0.1", self._target), 10) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            join(connection, onward)


def make(directory: Path, commands: str) -> None:
    """Runs commands as a person types them, each of which has to work."""
    subprocess.run(["sh", "-ec", commands], cwd=directory, check=True, capture_output=True, timeout=60)


def conntest(directory: Path, given: str | None) -> str:
    """What `conntest` says of a homeserver with what was made, where this file is given as an authority."""
    with Homeserver(directory) as server, Way(server.port) as way:
        settings = {
            "MATRIX_HOMESERVER": f"https://{HOST}",
            "MATRIX_USER": "bot",
            "MATRIX_PASSWORD": "correct horse battery staple",
            "HTTPS_PROXY": way.url,
        }
        if given:
            settings["EXTRA_CA_FILE"] = str(directory / given)
        code, output = run_to_end(settings, ("conntest",))
        assert code == 1, output
        return output


@pytest.mark.parametrize(("commands", "given"), zip(COMMANDS, ["server.crt", "ca.crt"], strict=True), ids=["one", "ca"])
def test_a_certificate_of_the_page_works(tmp_path: Path, commands: str, given: str) -> None:
    make(tmp_path, commands)
    output = conntest(tmp_path, given)
    assert "versions    v1.11" in output, output
    assert "Matrix Authentication Service" in output, output
    output = conntest(tmp_path, None)
    assert "versions" not in output and "EXTRA_CA_FILE" in output, output


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (f"{ONE_LINER} rsa:2048", "has no subjectAltName"),
        (f"{ONE_LINER} ec -pkeyopt ec_paramgen_curve:secp521r1 {SAN}", "no cipher or kind of key in common"),
        (f"{ONE_LINER} rsa:2048 -addext subjectAltName=DNS:other.example", "for another name (other.example)"),
        (f"{ONE_LINER} rsa:2048 {SAN} -addext 1.2.3.4=critical,DER:0500", "marked critical and unknown"),
    ],
    ids=["no-names", "p-521", "other-name", "critical"],
)
def test_what_openssl_takes_and_the_bot_refuses_is_named(tmp_path: Path, commands: str, said: str) -> None:
    make(tmp_path, commands)
    output = conntest(tmp_path, "server.crt")
    assert said in output and "(to be fixed in: the network" in output, output
    assert "trying again" not in output, output


def test_the_one_liner_of_many_guides_works_where_it_is_given(tmp_path: Path) -> None:
    make(tmp_path, f"{ONE_LINER} rsa:2048 {SAN}")
    assert "CA:TRUE" in subprocess.check_output(["openssl", "x509", "-in", tmp_path / "server.crt", "-text"], text=True)
    assert "versions    v1.11" in conntest(tmp_path, "server.crt")
