"""Puts the stations between standard input and the mailhub together, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ssmtp import accounts, address, config, envelope, intake, message, options
from ssmtp.stamp import Stamp

USERS = {"root": 0, "daemon": 1, "sysuser": 999, "alice": 1000, "bob": 1001}
CONFIG = "mailhub=hub.example\nrewriteDomain=corp.example\nhostname=ws1.corp.example\n"
NOW = Stamp(1_795_375_909, 60, "unique")
DATE = "Sun, 22 Nov 2026 20:31:49 +0100"


class Sent:
    """What would be sent: envelope, header fields as text, and the octets."""

    def __init__(
        self, env: envelope.Envelope, mail: message.Message, notes: list[str]
    ) -> None:
        self.envelope = env
        self.message = mail
        self.notes = notes + mail.notes

    @property
    def reverse_path(self) -> str:
        path = self.envelope.reverse_path
        return "" if path is None else str(path)

    @property
    def recipients(self) -> list[str]:
        return [str(r) for r in self.envelope.recipients]

    def wire(self, smtputf8: bool = False, eightbitmime: bool = True) -> bytes:
        content = self.message.render(smtputf8, eightbitmime)
        data = b"".join(content.blocks())
        assert content.size == len(data)
        assert data == b"".join(content.blocks())
        return data

    def header(self, **extensions: bool) -> str:
        head = self.wire(**extensions).partition(b"\r\n\r\n")[0] + b"\r\n"
        return head.decode().replace("\r\n", "\n")

    def body(self, **extensions: bool) -> bytes:
        return self.wire(**extensions).partition(b"\r\n\r\n")[2]

    def fields(self, name: str, **extensions: bool) -> list[str]:
        """Return the bodies of the fields of one name, unfolded."""
        lines = self.header(**extensions).replace("\n ", " ").replace("\n\t", "\t")
        return [
            line.partition(":")[2].strip(" ")
            for line in lines.split("\n")
            if line.partition(":")[0].lower() == name.lower()
        ]

    def field(self, name: str, **extensions: bool) -> str:
        """Return the body of the only field of a name."""
        (found,) = self.fields(name, **extensions)
        return found


def send(
    stdin: str | bytes | Iterable[bytes],
    *argv: str,
    conf: str = "",
    login: str = "alice",
    gecos: str = "Alice Example",
    identity: str | None = None,
    aliases: Mapping[str, list[str]] | None = None,
) -> Sent:
    """Take a message as `sendmail` would, as far as the mailhub's door."""
    blocks = [stdin.encode()] if isinstance(stdin, str) else stdin
    blocks = [blocks] if isinstance(blocks, bytes) else blocks
    taken = intake.from_blocks(b"", blocks)
    cfg = config.parse((CONFIG + conf).encode(), "/etc/ssmtp/ssmtp.conf")
    names = accounts.LocalNames(cfg, dict(aliases or {}), USERS.get)
    local, _, domain = (identity or f"{login}@corp.example").partition("@")
    who = accounts.Identity(address.make(local, domain, "identity"), gecos, [])
    opts = options.scan("sendmail", argv or ("rcpt@dest.example",))
    fields = message.parse(taken)
    env = envelope.build(opts, fields, cfg, who, names)
    mail = message.repair(
        fields,
        taken.body,
        config=cfg,
        identity=who,
        names=names,
        options=opts,
        now=NOW,
        host="ws1.corp.example",
    )
    return Sent(env, mail, taken.notes)
