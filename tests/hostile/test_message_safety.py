"""No message, argument, file or environment makes the program say what it must not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from ssmtp import intake
from ssmtp.smtp import lines
from tests.hub import EXTENSIONS, Hub, running
from tests.unit.strategies import BCC_FORMS

ROOT = Path(__file__).parents[2]
MANY = Path(__file__).with_name("many.py")
COMMAND = re.compile(
    r"EHLO box\.test"
    r"|MAIL FROM:<(?:[a-z0-9.]+@[a-z0-9.]+)?>(?: [A-Z0-9]+(?:=[!-~]+)?)*"
    r"|RCPT TO:<(?:you|ops)@[a-z0-9.]+>(?: [A-Z]+=[!-~]+)*"
    r"|BDAT \d+ LAST|DATA|QUIT"
)
PATH = r'<(?:(?:"(?:[^"\\]|\\.)*"|[^\s<>"]+)@[^\s<>"]+)?>'
CLEAN = re.compile(
    rf"EHLO box\.test|(?:MAIL FROM|RCPT TO):{PATH}(?: [!-~]+)*|BDAT \d+ LAST|QUIT"
)
BASE = (
    "hostname=box.test",
    "rewriteDomain=corp.test",
    "root=ops@corp.test",
    "FromLineOverride=yes",
)


class Site:
    """A configuration, and many runs of the program with it."""

    def __init__(self, tmp: Path) -> None:
        self.conf = tmp / "ssmtp.conf"
        self.env = {"XDG_STATE_HOME": str(tmp / "state"), "TZ": "UTC0"}

    def configure(self, hub: Hub, *more: str | bytes) -> None:
        words = [f"mailhub=127.0.0.1:{hub.port}", *BASE, *more]
        octets = [w.encode() if isinstance(w, str) else w for w in words]
        self.conf.write_bytes(b"\n".join(octets) + b"\n")
        self.conf.chmod(0o600)

    def case(self, *argv: str, text: str = "Subject: s\n\nb\n", **more) -> dict:
        env = self.env | more.pop("env", {})
        words = ["-C", str(self.conf), *argv]
        return {"argv": words, "text": text, "env": env, **more}

    def run(self, cases: Iterable[dict]) -> list[tuple[int, str]]:
        done = subprocess.run(
            [sys.executable, "-IS", str(MANY), str(ROOT / "src")],
            input=json.dumps(list(cases)).encode(),
            capture_output=True,
            timeout=50,
        )
        assert b"" == done.stderr
        return [(code, said) for code, said in json.loads(done.stdout)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# -- smuggling (CVE-2023-51764, -51765, -51766)

SEQUENCES = (
    "\n.\n",
    "\n.\r",
    "\r.\n",
    "\r.\r",
    "\n.\r\n",
    "\r.\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\n\0.\r\n",
)
SECOND = "MAIL FROM:<evil@x.test>\r\nRCPT TO:<evil@y.test>\r\nDATA\r\nSubject: evil\r\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "mixed"])
@pytest.mark.parametrize("mode", ["DATA", "DATA at once", "BDAT", "BDAT at once"])
def test_smuggling(site: Site, end: str, mode: str) -> None:
    """None of the nine sequences reaches the wire, whatever ends the lines."""
    leave = {"CHUNKING"} if "DATA" in mode else set()
    leave |= set() if "once" in mode else {"PIPELINING"}
    with running(Hub(extensions=tuple(e for e in EXTENSIONS if e not in leave))) as hub:
        site.configure(hub)
        cases = []
        for sequence in SEQUENCES:
            text = "To: you@dest.test\nSubject: s\n\nbefore"
            text = text.replace("\n", "\n" if end == "mixed" else end)
            cases.append(site.case("-t", "-i", text=f"{text}{sequence}{SECOND}after\n"))
        results = site.run(cases)

    assert [(0, "")] * len(SEQUENCES) == results
    assert len(SEQUENCES) == len(hub.mails)
    for mail in hub.mails:
        assert ("BDAT" in mode) == mail.bdat
        assert ["you@dest.test"] == mail.recipients
        assert mail.data.count(b"\r\n") == mail.data.count(b"\r")
        assert mail.data.count(b"\r\n") == mail.data.count(b"\n")
        assert b"\0" not in mail.data
        assert b"before" in mail.body
        assert b"RCPT TO:<evil@y.test>" in mail.body
        assert mail.body.endswith(b"after\r\n")
    for line in hub.commands:
        assert COMMAND.fullmatch(line), line


# -- control characters

CONTROLS = (*map(chr, range(32)), "\x7f", "\r\n", "\n ", "\x85", "\u2028")
EVIL = (
    "a{}RCPT TO:<evil@evil.test>",
    "a@corp.test{}RCPT TO:<evil@evil.test>",
    "a@corp.test>{}X-Evil: yes",
    '"a{}X-Evil: yes"@corp.test',
)
PLACES: dict[str, tuple[str, ...]] = {
    "-f": ("-f", "{}", "you@dest.test"),
    "-r": ("-r", "{}", "you@dest.test"),
    "-F": ("-F", "{}", "you@dest.test"),
    "-N": ("-N", "{}", "you@dest.test"),
    "-R": ("-R", "{}", "you@dest.test"),
    "-V": ("-V", "{}", "you@dest.test"),
    "-B": ("-B", "{}", "you@dest.test"),
    "-L": ("-L", "{}", "you@dest.test"),
    "-O": ("-O", "{}", "you@dest.test"),
    "-o": ("-o", "M{}", "you@dest.test"),
    "-X": ("-X", "{}", "you@dest.test"),
    "-h": ("-h", "{}", "you@dest.test"),
    "-p": ("-p", "{}", "you@dest.test"),
    "-au": ("-au", "{}", "-ap", "word", "you@dest.test"),
    "-ap": ("-au", "me", "-ap", "{}", "you@dest.test"),
    "-am": ("-am", "{}", "you@dest.test"),
    "recipient": ("you@dest.test", "--", "{}"),
    "recipients": ("you@dest.test,{}",),
}


# Where anything goes, because nothing is made of it, or a display name.
HARMLESS = ("-F", "-L", "-O", "-X", "-o", "-p")


def check(hub: Hub) -> None:
    """Raise if anything was injected into a command or a header."""
    for line in hub.commands:
        assert COMMAND.fullmatch(line), line
    for mail in hub.mails:
        check_mail(mail.data)
        assert set(mail.recipients) <= {"you@dest.test", "ops@corp.test"}


def check_mail(data: bytes) -> None:
    """Raise unless the header holds clean fields, and only such as we know."""
    head = data.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        assert re.fullmatch(rb"([A-Za-z-]+:| )[\x20-\x7e\t\x80-\xff]*", line), line
        assert not line.lower().startswith((b"x-evil", b"bcc", b"rcpt")), line


@pytest.mark.parametrize("place", PLACES)
def test_controls_in_arguments(site: Site, place: str) -> None:
    """A control character in an argument is refused, or does nothing."""
    with running(Hub()) as hub:
        site.configure(hub)
        results = site.run(
            site.case(*(word.replace("{}", text.format(c)) for word in PLACES[place]))
            for c in CONTROLS
            for text in EVIL
        )

    assert {code for code, _ in results} <= {0, 64, 65, 77}
    assert any(code for code, _ in results) or place in HARMLESS
    for code, said in results:
        assert code == 0 or said.count("\n") == 1
        assert said.rstrip("\n").isprintable()
    check(hub)
    if place in ("-f", "-r", "recipient", "recipients"):
        assert [] == hub.mails


CONFIG = {
    "Root": "root={}",
    "RewriteDomain": "rewriteDomain={}",
    "Hostname": "hostname={}",
    "AddHeader": "AddHeader=X-Site: {}",
    "AddHeader, name": "AddHeader={}: x",
    "Mailhub": "mailhub={}",
    "AuthUser": "AuthUser={}\nAuthPass=word",
    "AuthMethod": "AuthMethod={}",
    "LogFile": "LogFile={}",
    "unknown": "{}=x",
}


@pytest.mark.parametrize("key", CONFIG)
def test_controls_in_the_configuration(site: Site, key: str) -> None:
    """A control character in a value of ssmtp.conf does nothing on the wire either."""
    controls = [c for c in CONTROLS if "\n" not in c]
    with running(Hub()) as hub:
        for control in [*controls[::3], "\r", "\x7f", "\x85", "\u2028"]:
            site.configure(hub, *(CONFIG[key].format(t.format(control)) for t in EVIL))
            for code, said in site.run([site.case("root", "you@dest.test")]):
                assert code in (0, 65, 75, 77, 78)
                assert said.rstrip("\n").isprintable()

    hostname = {line for line in hub.commands if line.startswith("EHLO")}
    assert all(re.fullmatch(r"EHLO [\w.\[\]-]+", line) for line in hostname)
    hub.commands[:] = [line for line in hub.commands if line not in hostname]
    check(hub)


def test_controls_in_revaliases(site: Site) -> None:
    """A line of revaliases makes one clean address, or is refused."""
    login = subprocess.check_output(["id", "-un"], text=True).strip()
    with running(Hub()) as hub:
        site.configure(hub)
        for control in (*CONTROLS[::4], "\r", "\x7f", "\u2028"):
            for text in EVIL:
                line = f"{login}:{text.format(control)}\n"
                site.conf.with_name("revaliases").write_text(line, "utf-8", newline="")
                [(code, said)] = site.run([site.case("you@dest.test")])
                assert code in (0, 64, 65, 75, 78)
                assert said.rstrip("\n").isprintable()

    check(hub)


def test_controls_in_the_full_name(site: Site) -> None:
    """Users choose their GECOS field: it becomes a display name and nothing else."""
    with running(Hub()) as hub:
        site.configure(hub)
        results = site.run(
            site.case("you@dest.test", gecos=text.format(c))
            for c in CONTROLS
            for text in (
                *EVIL,
                '"{}" <evil@evil.test>',
                "a\\{}",
                "=?utf-8?q?=0D=0A?= {}",
            )
        )

    assert {0} == {code for code, _ in results}
    check(hub)
    for mail in hub.mails:
        [author] = message_from_bytes(mail.data, policy=policy.default)[
            "From"
        ].addresses
        assert "corp.test" == author.domain


@pytest.mark.parametrize("field", ["To", "Cc", "Bcc", "From", "Reply-To"])
def test_controls_in_the_header(site: Site, field: str) -> None:
    """A control character in a header field of -t gains nothing."""
    controls = [c for c in CONTROLS if c not in ("\n", "\r\n")]
    with running(Hub()) as hub:
        site.configure(hub)
        results = site.run(
            site.case("-t", text=f"To: you@dest.test\n{field}: {text.format(c)}\n\nb\n")
            for c in controls
            for text in EVIL
        )

    assert {code for code, _ in results} <= {0, 65}
    for line in hub.commands:
        # The header may name whom it likes; a command it is one at most.
        assert CLEAN.fullmatch(line), line
    for mail in hub.mails:
        head = mail.data.partition(b"\r\n\r\n")[0]
        assert b"\nx-evil" not in head.lower()
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
        assert b"\0" not in mail.data


# -- the environment


def test_environment(site: Site) -> None:
    """What the environment says changes neither the wire nor the outcome."""
    names = (
        "HOME LOGNAME USER USERNAME LNAME NAME EMAIL MAILNAME MAILUSER MAILHOST "
        "REPLYTO QMAILUSER QMAILHOST HOSTNAME HOST DOMAIN SENDER FROM RECIPIENT "
        "REMOTE_ADDR SERVER_NAME MAILRC MAILCONF SSMTP_CONF SMTPSERVER SENDMAIL PATH "
        "SHELL IFS ENV BASH_ENV LANG LC_ALL LANGUAGE TMPDIR TERM HTTP_PROXY "
        "http_proxy ALL_PROXY PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT "
        "PYTHONWARNINGS PYTHONUTF8 PYTHONIOENCODING LD_LIBRARY_PATH LOCALDOMAIN "
        "RES_OPTIONS HOSTALIASES CREDENTIALS_DIRECTORY SSLKEYLOGFILE OPENSSL_CONF "
        "SSL_CERT_FILE MALLOC_TRACE"
    ).split()
    values = (
        "evil@evil.test\r\nX-Evil: yes",
        "/nowhere",
        "",
        "\u20ac\x1b[2J",
        "a" * 9000,
    )
    with running(Hub()) as hub:
        site.configure(hub)
        results = site.run(
            site.case("you@dest.test", env=dict.fromkeys(names, value))
            for value in values
        )
        plain = site.run([site.case("you@dest.test")])

    assert [(0, "")] * len(values) == results
    assert [(0, "")] == plain
    assert 1 == len({mail.mail for mail in hub.mails})
    assert 1 == len({_without_stamps(mail.data) for mail in hub.mails})
    check(hub)


def _without_stamps(data: bytes) -> bytes:
    return re.sub(rb"(?m)^(Date|Message-ID|Received):.*(\r\n[ \t].*)*", rb"\1", data)


# -- Bcc


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bcc(site: Site, end: str) -> None:
    """None of the forms of Bcc leaves, and with -t each of them is a recipient."""
    secret = "you@hidden.test"
    assert len(BCC_FORMS) >= 20
    with running(Hub()) as hub:
        site.configure(hub, "AddHeader=Bcc: you@hidden.test")
        cases = []
        for form in BCC_FORMS:
            head = f"To: you@x.test\n{form.format(secret)}\nSubject: s\n\nb\n"
            head = head.replace("visible.example", "visible.test")
            text = head.replace("\n", end)
            cases += [site.case("-t", text=text), site.case("you@x.test", text=text)]
        results = site.run(cases)

    assert {(0, "")} == set(results)
    assert len(cases) == len(hub.mails)
    for mail, case in zip(hub.mails, cases, strict=True):
        assert secret.encode() not in mail.data, case["text"]
        assert not re.search(rb"(?im)^(resent-)?bcc", mail.data)
        assert ("-t" in case["argv"]) == (secret in mail.recipients)


# -- dots, long lines, many fields

BORDER = 65536


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("what", [b".", b"..", b".x", b". "])
def test_dots_at_block_borders(end: bytes, what: bytes) -> None:
    """A dot that begins a line is doubled wherever the blocks are cut."""
    head = b"To: a@b.test" + end + end
    for place in (BORDER, 2 * BORDER):
        for offset in range(-6, 7):
            for base in (0, len(head)):
                body = _filled(place + offset - base, end) + what + end + b"end" + end
                _check_dots(head + body, body.replace(b"\r\n", b"\n"))


def _filled(size: int, end: bytes) -> bytes:
    """Return whole lines, of `size` octets in all."""
    line = b"x" * 70 + end
    whole, rest = divmod(size, len(line))
    if rest and rest < len(end):
        whole, rest = whole - 1, rest + len(line)
    return line * whole + (b"y" * (rest - len(end)) + end if rest else b"")


def _check_dots(text: bytes, body: bytes) -> None:
    fd = os.memfd_create("text")
    try:
        os.write(fd, text)
        os.lseek(fd, 0, os.SEEK_SET)
        taken = intake.read(fd, dot_ends=False, hint=False)
    finally:
        os.close(fd)
    wire = b"".join(lines.dotted(taken.body.blocks()))
    taken.body.close()
    wanted = [b"." + line if line[:1] == b"." else line for line in body.split(b"\n")]

    assert b"\r\n".join(wanted) == wire


def test_lone_dot_at_the_border_end_to_end(site: Site) -> None:
    """A lone dot at the end of a block is content, and what follows it too."""
    with running(Hub(extensions=("PIPELINING",))) as hub:
        site.configure(hub)
        sizes = [BORDER + offset for offset in range(-2, 3)]
        bodies = [_filled(size, b"\n").decode() + ".\nend\n" for size in sizes]
        results = site.run(
            site.case("-i", "you@dest.test", text=f"Subject: s\n\n{body}")
            for body in bodies
        )

    assert [(0, "")] * len(sizes) == results
    assert bodies == [m.body.decode().replace("\r\n", "\n") for m in hub.mails]


@pytest.mark.parametrize("kind", ["", "text/html; charset=utf-8", "application/x"])
@pytest.mark.parametrize("letter", ["x", ".", "=", "é"])
def test_line_of_a_megabyte(site: Site, kind: str, letter: str) -> None:
    """A line of 1 MB arrives whole, in lines that SMTP allows where it is text."""
    line = letter * (1_000_000 // len(letter.encode()))
    head = f"MIME-Version: 1.0\nContent-Type: {kind}\n" if kind else ""
    with running(Hub()) as hub:
        site.configure(hub)
        text = f"{head}Subject: s\n\n{line}\n.\nend\n"
        [result] = site.run([site.case("-i", "you@dest.test", text=text)])

    assert (0, "") == result
    [mail] = hub.mails
    body = message_from_bytes(mail.data).get_payload(decode=True)
    assert isinstance(body, bytes)
    assert f"{line}\n.\nend\n".encode() == body.replace(b"\r\n", b"\n")
    if kind != "application/x":
        assert max(map(len, mail.data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("X: y\n" * 10_000, 65),
        ("To: you@dest.test\n" * 10_000, 65),
        ("References: <" + "x" * 1_000_000 + ">\n", 65),
        ("Subject: " + "x" * 1_000_000 + "\n", 0),
        ("Subject: " + "x " * 400_000 + "\n", 0),
        ("X: y\n" + " z\n" * 400_000, 65),
        ("X: y\n" * 990, 0),
    ],
    ids=[
        "fields",
        "To fields",
        "long",
        "long text",
        "long with blanks",
        "continuations",
        "990",
    ],
)
def test_large_headers(site: Site, head: str, code: int) -> None:
    """A header that is too large is refused in one sentence, and kept."""
    with running(Hub()) as hub:
        site.configure(hub)
        case = site.case("you@dest.test", text=f"{head}\nbody\n")
        [(found, said)] = site.run([case])

    assert code == found
    assert len(said) < 1000
    assert bool(code) == ("kept as" in said)
    for mail in hub.mails:
        assert max(map(len, mail.data.split(b"\r\n"))) <= 998
