"""Real servers for the tests of this directory, one of each kind per session.

They run as root when SSMTP_PEERS names the directory that unpack.sh filled. Without it
they are skipped, or fail when SSMTP_REQUIRE_PEERS=1 says that they have to run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

from tests.peers.box import Box
from tests.peers.capture import Capture
from tests.peers.servers import SERVERS, Certificates, Peer
from tests.peers.submit import Client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peers)


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("SSMTP_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that every peer's certificate comes from."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Certificates:
    """A certificate for localhost, by name only."""
    leaf = authority.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return Certificates(
        path,
        b"".join(part.bytes() for part in leaf.cert_chain_pems),
        leaf.private_key_pem.bytes(),
    )


@pytest.fixture(scope="session")
def far_end() -> Iterator[Capture]:
    """The server that every peer relays to."""
    capture = Capture()
    capture.start()
    yield capture
    capture.stop()


@pytest.fixture(scope="session")
def _running() -> Iterator[dict[str, Peer]]:
    """Hold the peers started so far, and end them all."""
    running: dict[str, Peer] = {}
    yield running
    for peer in running.values():
        peer.box.stop()


@pytest.fixture
def peer_name(request: pytest.FixtureRequest) -> str:
    """Say which peer a test is for; tests parametrize this."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def peer(
    peer_name: str,
    _running: dict[str, Peer],
    certificates: Certificates,
    far_end: Capture,
    tmp_path_factory: pytest.TempPathFactory,
) -> Peer:
    """The running peer of that name, started when it is first asked for."""
    if peer_name in _running:
        return _running[peer_name]
    roots = os.environ.get("SSMTP_PEERS")
    if not roots:
        _cannot("SSMTP_PEERS names no directory (tests/peers/unpack.sh fills one)")
    root = Path(roots) / peer_name
    if not root.is_dir():
        _cannot(f"{root} is not there (tests/peers/unpack.sh makes it)")
    if os.geteuid() != 0:
        _cannot("a box needs root")
    box = Box(root, tmp_path_factory.mktemp(peer_name))
    try:
        started = SERVERS[peer_name](box, certificates, far_end.port)
    except TimeoutError as error:
        box.stop()
        pytest.fail(f"{error}\n{box.log('/output')}", pytrace=False)
    _running[peer_name] = started
    return started


@pytest.fixture
def client(
    peer: Peer, certificates: Certificates, far_end: Capture, tmp_path: Path
) -> Client:
    """The program under test, set up to submit to the peer."""
    return Client(peer, certificates.authority, far_end, tmp_path)
