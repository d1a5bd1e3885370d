"""There is one way out: nothing reaches a mailhub but through its one writer.

The source is read here, not run: what is not written cannot happen on any road.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "ssmtp"
TREES = {
    str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}
# Modules of the other side: they answer clients, and write to no mailhub.
OUR_SERVER = {"smtp/server.py", "smtp/incoming.py"}


def found(matches: Callable[[ast.AST], bool], *rooms: str) -> set[str]:
    """Return the modules below `rooms` with a matching node that is no annotation."""
    return {
        name
        for name, tree in TREES.items()
        if name.startswith(rooms or ("",))
        and any(matches(node) for node in _running(tree))
    }


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, but for what is there for type checkers and readers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        yield child
        yield from _running(child)


def imports(*modules: str) -> Callable[[ast.AST], bool]:
    """Match an import of one of `modules`, at the top or within a function."""

    def matches(node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name.partition(".")[0] in modules for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            return not node.level and (node.module or "").partition(".")[0] in modules
        return False

    return matches


def holds(*texts: str) -> Callable[[ast.AST], bool]:
    """Match a literal, text or octets, that holds one of `texts`."""

    def matches(node: ast.AST) -> bool:
        if not isinstance(node, ast.Constant):
            return False
        value = node.value
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        return isinstance(value, str) and any(text in value for text in texts)

    return matches


def calls(*names: str) -> Callable[[ast.AST], bool]:
    """Match a call of something that is written like one of `names`."""
    return lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) in names


def test_sockets() -> None:
    """Only the wire opens sockets to the network and speaks TLS.

    Besides: the journal asks whether the socket of syslog(3) is stuck, and ssmtpctl has
    a mailhub of its own, for the demonstration and for `sink`. The Python API asks
    asyncio for the running loop. The agent's halves and its clients meet at sockets of
    this machine; the half that talks to mailhubs does it through the wire. The doctor
    and `setup` look at addresses and certificates, and have no message to send.
    """
    network = imports("socket", "_socket", "ssl", "_ssl", "asyncio")
    elsewhere = {name for name in found(network) if not name.startswith("wire/")}

    assert {
        "agent/acceptor.py",
        "agent/clerks.py",
        "agent/crew.py",
        "agent/desk.py",
        "agent/forks.py",
        "agent/link.py",
        "agent/listening.py",
        "agent/mate.py",
        "agent/lobby.py",
        "agent/sessions.py",
        "agent/supervise.py",
        "agent/verbs.py",
        "api.py",
        "ctl/certificate.py",
        "ctl/demo.py",
        "ctl/doctor/certificate.py",
        "ctl/doctor/names.py",
        "ctl/doctor/probe.py",
        "ctl/doctor/reach.py",
        "ctl/doctor/tls.py",
        "ctl/mailhub.py",
        "ctl/setup/autoconfig.py",
        "ctl/version.py",
        "handoff.py",
        "journal.py",
    } == elsewhere


def test_the_agent_meets_its_clients_on_this_machine() -> None:
    """Of the modules around the agent only the one that listens names TCP."""
    networks = {"AF_INET", "AF_INET6", "create_connection", "getaddrinfo"}

    def names(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in networks

    assert {"agent/listening.py"} == found(names, "agent/", "handoff.py", "parcel.py")


def test_only_the_doctor_looks_past_certificates() -> None:
    """For AllowUnverified, and for a look that takes no secret along."""

    def lenient(node: ast.AST) -> bool:
        return isinstance(node, ast.Assign) and "CERT_NONE" in ast.unparse(node.value)

    # The second names the constant for the first.
    wire = {"wire/tls.py", "wire/openssl.py"}
    assert wire | {"ctl/doctor/probe.py"} == found(lenient)

    glance = next(
        node
        for node in TREES["ctl/doctor/probe.py"].body
        if isinstance(node, ast.FunctionDef) and node.name == "glance"
    )
    # Neither credentials nor an envelope.
    (driven,) = (n for n in ast.walk(glance) if calls("_driven")(n))
    assert isinstance(driven, ast.Call)
    assert ["None", "False"] == [ast.unparse(argument) for argument in driven.args[2:]]


def test_other_roads_to_the_network() -> None:
    """No library that opens connections by itself is used for mail.

    `setup` asks the domain of the user for its configuration, over HTTPS.
    """
    others = imports(
        "ftplib",
        "http",
        "imaplib",
        "poplib",
        "requests",
        "smtplib",
        "socketserver",
        "telnetlib",
        "urllib",
        "xmlrpc",
    )
    # It reads what is quoted in an address of a server, and connects to nothing.
    unquotes = "ctl/migrate/snail.py"

    assert {"ctl/setup/autoconfig.py", unquotes} == found(others)
    assert ["from urllib.parse import unquote"] == [
        ast.unparse(node) for node in TREES[unquotes].body if others(node)
    ]


def test_octets_leave_in_one_place() -> None:
    """To a mailhub the channel writes, to a proxy its own module, and nobody else.

    The agent's acceptor answers whom it must turn away, and `verbs` asks the agent.
    """
    send = ("send", "sendall", "sendto", "sendmsg", "sendfile", "write")
    sockets = ("sock", "self._sock", "link.sock", "channel._sock")
    writes = calls(*(f"{sock}.{verb}" for sock in sockets for verb in send))

    local = {"agent/acceptor.py", "agent/sessions.py", "agent/verbs.py"}
    assert {"wire/channel.py", "wire/proxy.py"} == found(writes) - local


def test_lines_have_one_writer() -> None:
    """CRLF, and with it whatever the client says, is written in smtp/lines.py alone.

    Besides: the proxy is told where to go in HTTP, by the module that knows proxies.
    """
    writers = found(holds("\r\n"), "smtp/", "wire/", "submission.py")

    assert {"smtp/lines.py", "wire/proxy.py"} == writers - OUR_SERVER


def test_flights_are_made_of_lines() -> None:
    """What is put into a flight are lines of smtp/lines.py, never octets made there.

    The doctor's session ends before there is content.
    """

    def literal(node: ast.AST) -> bool:
        if not calls("Flight")(node):
            return False
        assert isinstance(node, ast.Call)
        octets = [node.args[0]] if node.args else []
        octets += [k.value for k in node.keywords if k.arg in ("head", "tail")]
        # The flight of no octets only sees to it that nothing is unread.
        octets = [o for o in octets if ast.unparse(o) != "b''"]
        return any(isinstance(o, ast.Constant | ast.JoinedStr) for o in octets)

    assert {
        "ctl/doctor/probe.py",
        "smtp/authenticate.py",
        "smtp/relay.py",
        "smtp/session.py",
        "smtp/transact.py",
    } == found(calls("Flight"))
    assert set() == found(literal)


def test_content_passes_its_writers() -> None:
    """Content is handed to a flight by the writers of DATA and BDAT only."""
    roads = ("smtp/relay.py", "smtp/transact.py")
    blocks: dict[str, list[str]] = {road: [] for road in roads}
    for road in roads:
        for node in _running(TREES[road]):
            if isinstance(node, ast.Call) and "content.blocks()" in map(
                ast.unparse, node.args
            ):
                blocks[road].append(ast.unparse(node.func))

    writers = ["lines.chunk", "lines.chunk", "lines.dotted"]
    assert [writers, writers] == [sorted(blocks[road]) for road in roads]
    assert set(roads) == found(calls("content.blocks"), "smtp/", "wire/")


def test_paths_are_written_once() -> None:
    """MAIL and RCPT are put together in one module, from an Address."""
    commands = found(holds("MAIL FROM:<", "RCPT TO:<"), "smtp/", "wire/")

    assert {"smtp/transact.py"} == commands - OUR_SERVER


def test_addresses_have_one_maker() -> None:
    """An Address is made in address.py alone, behind its checks."""
    makers = found(calls("Address", "address.Address", "addresses.Address"))

    # The wire has a class of that name for addresses of sockets.
    assert {"address.py", "wire/connect.py"} == makers
    assert not any(
        isinstance(node, ast.ImportFrom) and node.module == "ssmtp.address"
        for node in _running(TREES["wire/connect.py"])
    )


def test_address_is_made_once() -> None:
    """Within address.py one function makes an Address: what `make` remembers."""
    makers = {
        function.name
        for function in ast.walk(TREES["address.py"])
        if isinstance(function, ast.FunctionDef)
        and any(calls("Address")(node) for node in ast.walk(function))
    }

    assert {"_checked"} == makers


def test_one_redactor() -> None:
    """Secrets are turned to dots by `Reply.without`, which every reply passes.

    Besides: a `Secret` prints as dots, which ssmtpctl puts where it shows a file.
    """
    assert {"smtp/reply.py", "values.py"} == found(holds("••"))
    assert {"wire/channel.py"} == found(
        lambda node: isinstance(node, ast.Attribute) and node.attr == "without"
    )


def test_no_code_from_texts() -> None:
    """Nothing that was read is run: no eval, no exec, no shell, no pickle.

    But for our own modules, which bytecode.py runs as Python's importer would, and
    bytegroups.py writes.
    """
    runs = {"bytecode.py"}
    assert runs == found(calls("eval", "exec", "compile", "os.system", "os.popen"))
    writes = {"bytegroups.py"}
    assert runs | writes == found(imports("pickle", "marshal", "shelve", "pty"))
    assert set() == found(
        lambda node: (
            isinstance(node, ast.keyword)
            and node.arg == "shell"
            and ast.unparse(node.value) != "False"
        )
    )
