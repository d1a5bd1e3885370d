"""Differences from the classic in the configuration and on the command line."""

from __future__ import annotations

import pytest

from ssmtp import accounts
from tests.docs.differs import Ours, differs
from tests.hub import Hub

PASSWORD = "pass word#=:1"
USERS = {"me": PASSWORD}


@differs("ends a value at `#`, `=` or a blank")
def value(ours: Ours) -> None:
    ours.hub("AuthUser=me", f"AuthPass={PASSWORD} # not this", users=USERS)

    assert "me" == ours.sent().user


@differs("loses a key behind a blank, and a last line without its end")
def blank(ours: Ours) -> None:
    ours.hub(" AuthUser = me", f"\tAuthPass = {PASSWORD}", users=USERS)
    ours.conf.write_text(ours.conf.read_text().rstrip("\n"))

    assert "me" == ours.sent().user


@differs("takes every word but `yes` for no")
def yes(ours: Ours) -> None:
    ours.hub("FromLineOverride=true")
    assert "c@d.test" == ours.sent(text="From: c@d.test\n\n").sender
    ours.configure("mailhub=127.0.0.1:1", "UseSTARTTLS=oui")
    assert 78 == ours.run("a@b.test").code


@differs("logs an unknown key and goes on")
def key(ours: Ours) -> None:
    ours.hub("rewriteDomian=example.org")
    said = ours.refused(78)

    for word in (str(ours.conf), "3", "rewriteDomian", "RewriteDomain"):
        assert word.lower() in said.lower(), said


@differs("goes on with defaults when the file is missing or cannot be read")
def missing(ours: Ours) -> None:
    done = ours.run("-C", "/nowhere/ssmtp.conf", "a@b.test")

    assert 78 == done.code
    assert "/nowhere/ssmtp.conf" in done.err


@differs("reads a port as far as it has digits")
def port(ours: Ours) -> None:
    ours.configure("mailhub=127.0.0.1:25abc")

    assert "Mailhub" in ours.refused(78)


@differs("reads `/etc/ssmtp/ssmtp.conf`, or what `-C` names")
def places(ours: Ours) -> None:
    hub = ours.hub()
    own = ours.place / "home" / ".config" / "ssmtp"
    own.mkdir(parents=True)
    ours.conf.rename(own / "ssmtp.conf")
    (own / "revaliases").write_text(f"{accounts.caller().login}:own@box.test\n")

    assert 0 == ours.run("a@b.test", conf=False).code
    assert "own@box.test" == hub.mails[0].sender
    ours.env["SSMTP_CONF"] = "/nowhere/ssmtp.conf"
    assert 78 == ours.run("a@b.test", conf=False).code


@differs("counts the first of two `AuthUser`, `AuthPass` or `AuthMethod` lines")
def last(ours: Ours) -> None:
    lines = ("AuthPass=wrong", f"AuthPass={PASSWORD}", "AuthUser=you", "AuthUser=me")
    ours.hub(*lines, users=USERS)

    assert "me" == ours.sent().user


@differs("a second `mailhub` replaces the first")
def fallback(ours: Ours) -> None:
    first, second = Hub(), Hub()
    for hub in (first, second):
        hub.start()
        ours.hubs.append(hub)
    ours.configure(*(f"mailhub=127.0.0.1:{hub.port}" for hub in (first, second)))
    ours.sent()
    first.stop()

    assert 0 == ours.run("a@b.test").code
    assert (1, 1) == (len(first.mails), len(second.mails))


@differs("an empty `rewriteDomain` makes `user@`, one with `@` a crash")
def domain(ours: Ours) -> None:
    hub = ours.hub("rewriteDomain=")
    assert ["bob@box.test"] == ours.sent("bob").recipients
    ours.configure(f"mailhub=127.0.0.1:{hub.port}", "rewriteDomain=you@example.org")
    assert ["bob@example.org"] == ours.sent("bob").recipients


@differs("cuts `mailhub` at its first colon, so that there are no IPv6 addresses")
def ipv6(ours: Ours) -> None:
    assert "[2001:db8::1]:587" in ours.explained("mailhub=[2001:db8::1]:587")
    hub = Hub(host="::1")
    try:
        hub.start()
    except OSError:
        pytest.skip("a machine without IPv6")
    ours.hubs.append(hub)
    ours.configure(f"mailhub=[::1]:{hub.port}")
    ours.sent()


@differs("takes any `AuthMethod` but `cram-md5` for LOGIN")
def method(ours: Ours) -> None:
    ours.hub("AuthUser=me", "AuthPass=secret", "AuthMethod=PLANE", users=USERS)

    assert "PLANE" in ours.refused(78)


@differs("draws the line between users of the system and people at uid 999")
def limit(ours: Ours) -> None:
    hub = ours.hub("root=admin@example.org")
    assert ["admin@example.org"] == ours.sent("daemon").recipients
    ours.configure(
        f"mailhub=127.0.0.1:{hub.port}", "root=admin@example.org", "MinUserId=1"
    )
    assert ["daemon@box.test"] == ours.sent("daemon").recipients


@differs("a display name in `revaliases` breaks the line")
def display(ours: Ours) -> None:
    ours.hub()
    line = f"{accounts.caller().login}:Server room <room@box.test>\n"
    (ours.place / "revaliases").write_text(line)
    mail = ours.sent()

    assert "room@box.test" == mail.sender
    assert ['"Server room" <room@box.test>'] == mail.field("From")


@differs("drops the mail, exit 0, for `-t` with recipients")
def both(ours: Ours) -> None:
    ours.hub()

    mail = ours.sent("-t", "a@b.test", text="To: c@d.test\n\nbody\n")
    assert {"a@b.test", "c@d.test"} == set(mail.recipients)


@differs("drops the mail, exit 0, for `-V id` and `-odq`")
def dropped(ours: Ours) -> None:
    ours.hub()
    ours.sent("-V", "id", "a@b.test")

    assert ["a@b.test"] == ours.sent("-odq", "a@b.test").recipients
    assert 2 == len(ours.hubs[0].mails)


@differs('answers `-bs` with "not supported", exit 0')
def session(ours: Ours) -> None:
    hub = ours.hub()
    text = (
        "EHLO me\r\nMAIL FROM:<c@d.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n"
        "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"
    )
    done = ours.run("-bs", text=text)

    assert 0 == done.code
    assert "250 " in done.out
    assert ["a@b.test"] == hub.mails[0].recipients


@differs(
    "takes the values of `-X`, `-O`, `-B`, `-L`, `-h` for recipients, the word after"
    " `-odb` for a configuration"
)
def arity(ours: Ours) -> None:
    ours.hub()
    words = ("-X", "trace", "-O", "Timeout=1", "-B", "8BITMIME", "-L", "t", "-h", "5")
    mail = ours.sent(*words, "-odb", "a@b.test")

    assert ["a@b.test"] == mail.recipients
    assert not (ours.place / "trace").exists()


@differs("has no end of options")
def end(ours: Ours) -> None:
    ours.hub()

    assert ["-bp@b.test"] == ours.sent("--", "-bp@b.test").recipients


@differs("ignores an unknown option")
def unknown(ours: Ours) -> None:
    ours.hub()

    assert "-Z" in ours.refused(64, "-Z", "a@b.test")


@differs("exits with 0 for wrong usage and with 1 for every error")
def codes(ours: Ours) -> None:
    hub = ours.hub()
    ours.refused(64, "-i")
    for code, reply in ((75, "451 4.3.0 later"), (69, "554 5.6.0 no")):
        hub.replies["DOT"] = reply
        ours.refused(code)
    hub.replies = {"RCPT": "550 5.1.1 unknown"}
    ours.refused(67)


@differs("speaks on standard error for `mailq` and `-V`")
def output(ours: Ours) -> None:
    ours.hub()
    for done in (ours.run("-V"), ours.run(name="mailq", conf=False)):
        assert (0, "") == (done.code, done.err)
        assert done.out


@differs("says that the queue is empty, whatever happened")
def queue(ours: Ours) -> None:
    hub = ours.hub()
    hub.replies["MAIL"] = "451 4.3.0 later"
    ours.refused(75)
    assert "a@b.test" in ours.run(name="mailq", conf=False).out
    hub.replies.clear()
    assert 0 == ours.run("-q", conf=False).code
    assert 1 == len(hub.mails)


@differs("never lets `-f` set the reverse-path")
def reverse(ours: Ours) -> None:
    hub = ours.hub("FromLineOverride=yes")
    assert "c@d.test" == ours.sent("-f", "c@d.test", "a@b.test").sender
    ours.configure(f"mailhub=127.0.0.1:{hub.port}")
    assert "c@d.test" != ours.sent("-f", "c@d.test", "a@b.test").sender
    for nobody in ("", "<>"):
        assert "" == ours.sent("-f", nobody, "a@b.test").sender


@differs("heeds `-F` with `FromLineOverride=yes` only")
def fullname(ours: Ours) -> None:
    ours.hub()

    assert "Cron Daemon" in ours.sent("-F", "Cron Daemon", "a@b.test").field("From")[0]
