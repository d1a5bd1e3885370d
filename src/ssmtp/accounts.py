"""Who is calling, under which address they write, and where local names lead.

Identity comes from the real uid alone: what LOGNAME, USER or -f say chooses no
password, no mailhub and no line of revaliases.

A name without @ is looked up in this order: the alias file; the rule of Root=, which
takes the mail of system accounts; the domain. The same holds in header fields, so that
`From: root` becomes an address that a mailhub accepts.
"""

from __future__ import annotations

import posix
import pwd

from ssmtp import address as addresses
from ssmtp.address import Address
from ssmtp.config import note_tls, uncommented
from ssmtp.environment import utf8
from ssmtp.errors import ConfigError, InputRefused
from ssmtp.values import BLANKS, Mailhub, is_ipv4, mailhub, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ssmtp.address import Mailbox
    from ssmtp.config import Config

DEEPEST = 50  # alias that leads to alias; more is a mistake


class Caller:
    """The user who runs us: what the password database knows of the real uid."""

    __slots__ = ("gecos", "home", "login", "uid")

    def __init__(self, uid: int, login: str, gecos: str, home: str | None) -> None:
        self.uid = uid
        self.login = login
        self.gecos = gecos
        self.home = home


class Revalias:
    """A line of revaliases, its fields as they were written."""

    __slots__ = ("address", "line", "login", "mailhub", "path")

    def __init__(
        self, login: str, address: str, mailhub: str | None, path: str, line: int
    ) -> None:
        self.login = login
        self.address = address
        self.mailhub = mailhub
        self.path = path
        self.line = line


class Identity:
    """The address and name that the caller writes under, and the mailhubs to try."""

    __slots__ = ("address", "full_name", "mailhubs")

    def __init__(
        self, address: Address, full_name: str, mailhubs: list[Mailhub]
    ) -> None:
        self.address = address
        self.full_name = full_name
        self.mailhubs = mailhubs


def caller() -> Caller:
    """Return the user of the real uid."""
    return caller_of(posix.getuid())


def caller_of(uid: int) -> Caller:
    """Return a user by uid; one without a passwd entry has a made-up name.

    Containers run programs under uids that no passwd file knows.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Caller(uid, f"uid{uid}", "", None)
    return Caller(uid, _text(entry[0]), _text(entry[4]), entry[5] or None)


def _text(field: str) -> str:
    """Read a passwd field as UTF-8, whatever the locale made of it."""
    return utf8(field)


def uid_of(name: str) -> int | None:
    """Return the uid of a local user, None if there is none of this very name."""
    try:
        return pwd.getpwnam(name)[2]
    except (KeyError, ValueError):
        return None


def full_name(gecos: str, login: str) -> str:
    """Return the name in a GECOS field: the text before the first comma.

    An & that stands alone is the login name with a capital, as finger has it. One
    within a word (`R&D`) is what it looks like.
    """
    words = gecos.partition(",")[0].split()
    return " ".join(_capital(login) if word == "&" else word for word in words)


def _capital(login: str) -> str:
    return login[:1].upper() + login[1:]


def host(config: Config) -> str:
    """Return the name of this machine: Hostname, or what the system calls it."""
    return config.hostname or _machine()


def _machine() -> str:
    name = posix.uname().nodename.rstrip(".")
    # A container may be called "(none)" or nothing; such a name makes no address.
    plain = name.replace("-", "").replace(".", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else "localhost"


def domain(config: Config) -> str:
    """Return the domain that names without @ get."""
    return config.rewrite_domain or host(config)


def ehlo_name(config: Config) -> str | None:
    """Return what to call ourselves in EHLO, None if that is no full domain name.

    RFC 5321 §4.1.4 asks for a full name or an address literal. Without a look-up
    nothing but a dot tells one, and for the literal the connection has to be there.
    """
    name = host(config)
    if name[0] == "[":
        return name
    if is_ipv4(name):
        return f"[{name}]"
    if not name.isascii():
        try:
            name = addresses.to_ascii(name, "Hostname")
        except InputRefused:
            return None
    if "." not in name or not name.replace("-", "").replace(".", "").isalnum():
        return None
    return name


def parse_revaliases(text: bytes, path: str) -> list[Revalias]:
    """Read revaliases: a line for each login, `login:address[:mailhub[:port]]`.

    A `#` begins a comment anywhere, as it always did here. Lines of other users are
    none of this caller's business, so what is wrong with a line is said when it is
    used, and one without a colon is passed over.
    """
    found = []
    for number, line in enumerate(_decoded(text).split("\n"), 1):
        login, colon, rest = line.partition("#")[0].strip(BLANKS).partition(":")
        login = login.rstrip(BLANKS)
        if not colon or not login:
            continue
        address, hub = _split_fields(rest.strip(BLANKS))
        found.append(Revalias(login, address, hub or None, path, number))
    return found


def _decoded(text: bytes) -> str:
    if text[:3] == b"\xef\xbb\xbf":
        text = text[3:]
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    return text.decode("utf-8", "surrogateescape")


def _split_fields(rest: str) -> tuple[str, str]:
    """Split `address[:mailhub[:port]]`, leaving the colons of the mailhub alone."""
    at = 0
    while at < len(rest) and rest[at] != ":":
        closing = {'"': '"', "<": ">", "[": "]"}.get(rest[at])
        at = (rest.find(closing, at + 1) if closing else at) + 1 or len(rest)
    address, hub = rest[:at].rstrip(BLANKS), rest[at + 1 :].strip(BLANKS)
    # Blanks separate fields too, but for those of a display name.
    words = address.split()
    if len(words) > 1 and "<" not in address and '"' not in address:
        address = words[0]
        hub = ":".join([*words[1:], *filter(None, [hub])])
    # Nothing after the last colon says no more than no colon.
    if not hub.endswith("::"):
        hub = hub.rstrip(":" + BLANKS)
    return address, hub


def identify(caller: Caller, config: Config, revaliases: list[Revalias]) -> Identity:
    """Return whom the caller writes as, and through which mailhubs.

    Of the lines for this login the last one wins, field by field. Raises `ConfigError`
    for a bad line, and when no mailhub is set at all.
    """
    place = domain(config)
    name = full_name(caller.gecos, caller.login)
    written: Mailbox | None = None
    hubs = config.mailhubs
    where = "the login name"
    for entry in revaliases:
        if entry.login != caller.login:
            continue
        line = f"{shown(entry.path)}, line {entry.line}"
        if entry.address:
            written, where = _one(entry.address, line), line
        if entry.mailhub is not None:
            hubs = [_other_hub(entry.mailhub, config, line)]
    if written is not None and written.name:
        name = written.name
    if written is None and "@" in caller.login:
        # Directory services have such login names, and they are addresses.
        try:
            written = addresses.parse_one(caller.login, where)
        except InputRefused:
            written = None
    if written is None:
        own = addresses.make(caller.login, place, where)
    else:
        own = _make(written.local, written.domain or place, where)
    if not hubs:
        raise ConfigError(
            f"{shown(config.path)}: no mailhub is set", "add a line Mailhub=host:port"
        )
    return Identity(own, name, hubs)


def _one(text: str, where: str) -> Mailbox:
    try:
        found = addresses.parse_one(text, where)
    except InputRefused as error:
        raise _blamed(error) from None
    if found is None:
        raise ConfigError(f"{where}: no address", "write login:address")
    return found


def _make(local: str, domain: str, where: str) -> Address:
    try:
        return addresses.make(local, domain, where)
    except InputRefused as error:
        raise _blamed(error) from None


def _blamed(error: InputRefused) -> ConfigError:
    """Blame a bad address on the file that it stands in, not on the caller."""
    return ConfigError(error.what, "correct it there")


def _other_hub(text: str, config: Config, where: str) -> Mailhub:
    """Read the mailhub of revaliases; without a port it keeps that of ssmtp.conf."""
    try:
        hub = mailhub(text, fields=True)
    except ValueError as error:
        raise ConfigError(
            f"{where}: the mailhub {error}", "write login:address:host:port"
        ) from None
    if not hub.explicit_port and hub.host is not None:
        first = config.mailhubs[0] if config.mailhubs else None
        if first is not None and first.host is not None and first.explicit_port:
            hub.port, hub.explicit_port = first.port, True
        elif first is None and config.remote_port is not None:
            hub.port, hub.explicit_port = config.remote_port, True
    note_tls(config, hub)
    return hub


def parse_aliases(text: bytes, path: str) -> dict[str, list[str]]:
    """Read a file like /etc/aliases: `name: target, target`, folded lines, comments.

    Names count without regard to case, and the last entry for a name wins. Targets
    stay as they were written until one is needed. Raises `ConfigError` naming the line
    that is neither.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for number, raw in enumerate(_decoded(text).split("\n"), 1):
        line = uncommented(raw).rstrip(BLANKS)
        if not line.strip(BLANKS):
            continue
        if line[0] in BLANKS and name:
            found[name].extend(_targets(line))
            continue
        key, colon, rest = _alias_name(line.strip(BLANKS))
        if not colon or not key:
            raise ConfigError(
                f"{shown(path)}, line {number}: this is no alias",
                "write name: address",
            )
        name = key.lower()
        found[name] = _targets(rest)
    return {name: targets for name, targets in found.items() if targets}


def _alias_name(line: str) -> tuple[str, str, str]:
    if line[0] != '"':
        name, colon, rest = line.partition(":")
        return name.rstrip(BLANKS), colon, rest
    name, _, rest = line[1:].partition('"')
    between, colon, rest = rest.partition(":")
    return name, "" if between.strip(BLANKS) else colon, rest


def _targets(text: str) -> list[str]:
    """Split at commas that stand neither in quotes nor in a comment."""
    targets = []
    quoted = False
    depth = 0
    begin = at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quoted:
            at += 1
        elif char == '"':
            quoted = not quoted
        elif char in "()" and not quoted:
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char == "," and not quoted and not depth:
            targets.append(text[begin:at])
            begin = at + 1
        at += 1
    targets.append(text[begin:])
    return [word for word in (part.strip(BLANKS) for part in targets) if word]


def _octets(name: str) -> int:
    return len(name.encode())


class LocalNames:
    """What becomes of names without @."""

    __slots__ = ("_aliases", "_config", "_known", "_root", "_uid_of", "domain")

    def __init__(
        self,
        config: Config,
        aliases: dict[str, list[str]],
        uid_of: Callable[[str], int | None] = uid_of,
        domain_: str | None = None,
    ) -> None:
        self._config = config
        self._aliases = aliases
        self._uid_of = uid_of
        self._root: list[Address] | None = None
        self._known: dict[str, list[Address]] = {}
        self.domain = domain_ or domain(config)

    def asking(self, uid_of: Callable[[str], int | None]) -> LocalNames:
        """Return the same names, but another one is asked about those still unknown."""
        names = LocalNames(self._config, self._aliases, uid_of, self.domain)
        names._known = self._known
        return names

    def resolve(self, mailbox: Mailbox, where: str) -> list[Address]:
        """Return the addresses that a mailbox stands for; usually one.

        Raises `InputRefused` naming `where`, or `ConfigError` for an alias.
        """
        if mailbox.domain is not None:
            return [addresses.make(mailbox.local, mailbox.domain, where)]
        return self.recipient(mailbox.local, where)

    def rule(self, name: str) -> str:
        """Return which of the rules holds for a name without @, for a person."""
        if name.lower() in self._aliases:
            return f"an alias in {shown(self._config.aliases or 'aliases')}"
        if self._local(name, "recipient") == self._root:
            return f"Root, because its uid is below {self._config.min_user_id}"
        key = "RewriteDomain" if self._config.rewrite_domain else "Hostname"
        return f"a name without @ gets the domain of {key}"

    def recipient(self, name: str, where: str = "recipient") -> list[Address]:
        """Return the addresses that a name without @ stands for."""
        known = self._known.get(name)
        if known is not None:
            return known
        found: dict[Address, None] = {}
        self._expand(name, where, [], set(), found)
        if not found:
            raise self._bad(name.lower(), "leads to nobody")
        self._known[name] = list(found)
        return self._known[name]

    def author(self, name: str, where: str = "From") -> Address:
        """Return the one address of a name without @ that is said to have written."""
        return self.recipient(name, where)[0]

    def suffix(self, names: list[str]) -> tuple[str, set[str]]:
        """Return what completes many names, and those of them that become another.

        The names need no quotes. Raises `InputRefused` or `ConfigError` for one that
        is no name.
        """
        if self._root is None:
            self._root = self._root_addresses()
        others: set[str] = set()
        if self._aliases:
            others = {name for name in names if name.lower() in self._aliases}
        if self._root:
            asked = set(names) - others
            others |= {n for n in asked if self._local(n, "") is self._root}
        if others:
            names = [name for name in names if name not in others]
        if not names:
            return "", others
        longest = max(names, key=len if "".join(names).isascii() else _octets)
        made = addresses.make(longest, self.domain, "name")
        return str(made)[len(longest) :], others

    def _expand(
        self,
        name: str,
        where: str,
        chain: list[str],
        done: set[str],
        found: dict[Address, None],
    ) -> None:
        key = name.lower()
        targets = self._aliases.get(key)
        if targets is None:
            found.update(dict.fromkeys(self._local(name, where)))
            return
        if key in chain or len(chain) > DEEPEST:
            path = " -> ".join([*chain, key][-5:])
            raise self._bad(chain[0], f"leads in a circle ({path})")
        if key in done:
            return
        done.add(key)
        says = self._says(key)
        for target in targets:
            try:
                for local, place in self._read(key, target):
                    # `bob: bob, archive@example.com` keeps bob's own mail coming.
                    own = local.lower() == key and len(targets) > 1
                    if place is not None:
                        found[addresses.make(local, place, says)] = None
                    elif own or target[0] == "\\":
                        found.update(dict.fromkeys(self._local(local, says)))
                    else:
                        self._expand(local, says, [*chain, key], done, found)
            except InputRefused as error:
                raise _blamed(error) from None

    def _read(self, key: str, target: str) -> Iterable[tuple[str, str | None]]:
        """Yield local part and domain of each address of a target."""
        if target[0] == "\\":
            return [(target[1:], None)]
        bare = target.lstrip('"')
        if bare[:1] == "|":
            raise self._bad(key, "leads to a program, which ssmtp does not run")
        if bare[:1] == "/":
            raise self._bad(key, "leads to a file, which ssmtp does not write")
        if bare[:9].lower() == ":include:":
            raise self._bad(key, "leads to an included list, which ssmtp does not read")
        boxes = addresses.parse_list(target, self._says(key))
        return [(box.local, box.domain) for box in boxes]

    def _says(self, key: str) -> str:
        return f"alias {shown(key)} in {shown(self._config.aliases or 'aliases')}"

    def _bad(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._says(key)} {what}", "name an address there")

    def _local(self, name: str, where: str) -> list[Address]:
        """Apply the rule of Root=, or complete the name with the domain."""
        if self._root is None:
            self._root = self._root_addresses()
        if self._root:
            uid = self._uid_of(name)
            if uid is not None and uid < self._config.min_user_id:
                return self._root
        return [addresses.make(name, self.domain, where)]

    def _root_addresses(self) -> list[Address]:
        """Read Root=; a name in it gets the domain and is not looked up again."""
        where = f"Root in {shown(self._config.path)}"
        try:
            boxes = addresses.parse_list(self._config.root or "", where)
        except InputRefused as error:
            raise _blamed(error) from None
        return [_make(box.local, box.domain or self.domain, where) for box in boxes]
