"""What has to be known: from flags, from those who know, and at last from people."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace

from ssmtp import address as addresses
from ssmtp.credentials import command as passcommand
from ssmtp.ctl.setup import autoconfig, discovery, providers, secretplace, trial
from ssmtp.ctl.setup.discovery import Server, Sources
from ssmtp.ctl.setup.questions import Asker
from ssmtp.ctl.words import _
from ssmtp.errors import ConfigError, Failure, InputUnreadable, UsageError
from ssmtp.values import command_words, mailhub, mechanism, shown


@dataclass
class Account:
    """The answers, with the servers to try; a `password` of None comes by `command`."""

    address: str
    sender: str
    name: str
    root: str
    user: str
    servers: list[Server]
    method: str
    ca_file: str
    store: str
    password: str | None = None
    command: str | None = None
    typed: bool = False


def sources() -> Sources:
    """Return who is asked about servers."""
    return Sources(discovery.lookup, autoconfig.fetch, trial.answers)


def gather(args: argparse.Namespace, asker: Asker) -> Account:
    """Return all answers; raises `UsageError` naming the flag that is missing."""
    text = args.address or asker.text(_("Your address"), "ADDRESS")
    address = _address(text, _("the address"))
    servers = _servers(args, asker, address)
    user = args.user if args.user is not None else servers[0].user
    if not user and args.user is None:
        _hint(asker, servers[0])
        user = asker.text(_("User name"), "--user")
    account = Account(
        address=address,
        sender=_address(args.from_, "--from") if args.from_ else address,
        name=args.name or "",
        root=_root(args.root_to or address),
        user=user,
        servers=servers,
        method=_method(args.auth_method),
        ca_file=os.path.abspath(args.ca_file) if args.ca_file else "",
        store=args.store or ("command" if args.password_command else "file"),
        command=args.password_command,
    )
    if user:
        _fetch_password(args, asker, account)
    return account


def _address(text: str, where: str) -> str:
    try:
        box = addresses.parse_one(text.strip(), where)
        if box is None or box.domain is None:
            raise UsageError(
                _("{text} is no address").format(text=shown(text)),
                _("write it as in you@example.com"),
            )
        return str(addresses.make(box.local, box.domain, where))
    except Failure as failure:
        raise UsageError(failure.what, failure.next_step) from None


def _root(text: str) -> str:
    return ", ".join(_address(part, "--root-to") for part in text.split(","))


def _method(name: str | None) -> str:
    try:
        return (mechanism(name) or "") if name else ""
    except ValueError as error:
        raise UsageError(f"--auth-method {error}", "") from None


def _servers(args: argparse.Namespace, asker: Asker, address: str) -> list[Server]:
    word = args.server
    if word is None:
        servers = discovery.find(address, sources(), asker.say)
        if not servers:
            word = asker.text(_("Mailhub"), "--server")
        else:
            first = servers[0]
            asker.say(
                _("Mailhub: {hub}, from {found}").format(hub=first, found=first.found)
            )
            if first.foreign:
                question = _("{host} is outside of your domain. Is it right?")
                flag = f"--server {first.mailhub()}"
                asker.confirm(question.format(host=first.host), flag)
    if word is not None:
        servers = _named(word, args, address)
    if args.port is not None:
        if not 0 < args.port < 65536:
            raise UsageError(_("--port is a number from 1 to 65535"), "")
        tls = discovery.tls_of(args.port)
        servers = [replace(servers[0], port=args.port, tls=tls)]
    if args.tls is not None:
        port = {"implicit": 465, "starttls": 587}.get(args.tls, 25)
        if args.port is None and (word is None or ":" not in word):
            fitting = [server for server in servers if server.tls == args.tls]
            servers = fitting[:1] or [replace(servers[0], port=port)]
        servers = [replace(server, tls=args.tls) for server in servers[:1]]
    return servers


def _named(word: str, args: argparse.Namespace, address: str) -> list[Server]:
    """Return the servers for --server: a provider, or a host with or without port."""
    found = _("the command line")
    named = providers.by_name(word)
    if named is not None:
        provider, host = named
        return discovery.of_provider(provider, host, address, found)
    try:
        hub = mailhub(word)
    except ValueError as error:
        raise UsageError(f"--server {error}", "") from None
    if hub.host is None:
        raise UsageError(_("--server is a host, not a socket"), "")
    provider_of = providers.by_host(
        hub.host, hub.port if hub.explicit_port else args.port
    )
    if hub.explicit_port:
        tls = discovery.tls_of(hub.port)
        return [Server(hub.host, hub.port, tls, address, found, provider_of)]
    if provider_of is not None:
        return discovery.of_provider(provider_of, hub.host, address, found)
    return [
        Server(hub.host, port, discovery.tls_of(port), address, found)
        for port in (465, 587)
    ]


def _hint(asker: Asker, server: Server) -> None:
    if server.provider is not None:
        asker.say_once(providers.hint(server.provider))


def _fetch_password(args: argparse.Namespace, asker: Asker, account: Account) -> None:
    """Find the password; one that a command prints is fetched when it is needed."""
    if args.password_command and account.store == "command":
        return
    if args.password_command:
        try:
            words = command_words(args.password_command.strip() or " ")
        except (ValueError, IndexError):
            raise UsageError(_("--password-command is no command"), "") from None
        account.password = secretplace.checked(passcommand.read(words))
    elif args.password_file:
        account.password = secretplace.checked(_first_line(args.password_file))
    elif args.password_stdin:
        line = sys.stdin.buffer.readline().rstrip(b"\r\n") if sys.stdin else b""
        account.password = secretplace.checked(line.decode("utf-8", "surrogateescape"))
    elif account.store == "command":
        raise UsageError(
            _("there is no command for the password"), _("give --password-command")
        )
    elif account.store == "credential" and args.no_test:
        return
    else:
        _hint(asker, account.servers[0])
        ask_password(asker, account)


def ask_password(asker: Asker, account: Account) -> None:
    """Let a person type the password."""
    question = _("Password for {user}").format(user=shown(account.user))
    flag = _("--password-file, --password-command or --password-stdin")
    account.password = secretplace.checked(asker.secret(question, flag))
    account.typed = True


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            line = file.readline(1 << 16).rstrip(b"\r\n")
    except OSError as error:
        raise InputUnreadable(
            _("{path} cannot be read: {reason}").format(
                path=shown(path), reason=error.strerror
            ),
            _("name the file with the password"),
        ) from None
    except ValueError:
        raise ConfigError(_("--password-file is no path"), "") from None
    return line.decode("utf-8", "surrogateescape")
