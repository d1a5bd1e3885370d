"""The line that fails first names the cause, and not what comes of it."""

from __future__ import annotations

import grp
import json
import os

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.doctor.conftest import ME, PASSWORD, USER, needs_root
from tests.hub import Hub, running

LOGIN = (f"AuthUser={USER}", f"AuthPass={PASSWORD}")


@pytest.fixture
def account(bench, secure, certificates):
    """Return a function that breaks a working account with STARTTLS and a login."""

    def examine(*lines, words=(), login=LOGIN, tls="starttls", kind="good", **more):
        hub = secure(kind, tls, **more)
        authority = f"TLS_CA_File={certificates.text('authority')}"
        wanted = "UseSTARTTLS=yes" if tls == "starttls" else ""
        mailhub = f"mailhub=127.0.0.1:{hub.port}"
        bench.configure(mailhub, wanted, authority, *login, *lines)
        return bench.doctor(*words)

    return examine


def line(told):
    """Return the line that fails first, as a person reads it."""
    return f"{told.first['text']} | {told.first['next']}"


def test_the_account_works(account):
    """What is broken below is whole before."""
    told = account()

    assert 0 == told.code
    assert [] == told.states("error")


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (("AuthUser=me @corp.test",), ["has a blank in it"]),
        (("AuthUser=<me@corp.test>",), ["sign in it that belongs to no user name"]),
        (("AuthUser=me",), ["AuthUser me is no whole address"]),
        (
            (f"AuthUser={USER}", "AuthUser=old@corp.test"),
            ["AuthUser stands in lines 7, 8, and the last one counts"],
        ),
        (
            (f"AuthUser={USER}", "AuthPass=of-last-year"),
            ["AuthPass stands in lines 8, 9, and the last one counts"],
        ),
    ],
)
def test_suspects_of_a_refused_login(account, login, words):
    """A refused login is told together with what is strange about it."""
    last = f"AuthPass={PASSWORD}"
    lines = (*login, last) if "old" in login[-1] else (login[0], last, *login[1:])
    told = account(login=lines, users={USER: PASSWORD})

    assert (77, "auth.login") == (told.code, told.first["id"])
    for word in words:
        assert word in told.first["text"]
    assert "AuthUser, AuthPass stand in " in told.first["next"]
    assert PASSWORD not in told.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"AuthPass={PASSWORD}\n", "begins with the name of a key"),
        (f"\ufeff{PASSWORD}\n", "begins with a byte order mark"),
        (f"“{PASSWORD}”\n", "begins or ends with a curly quote"),
    ],
)
def test_what_stands_in_the_password_file(bench, account, content, words):
    """What an editor or a habit wrote beside the password is named."""
    file = bench.conf.with_name("password")
    file.write_text(content)
    file.chmod(0o600)
    told = account(login=(f"AuthUser={USER}", f"AuthPassFile={file}"))

    assert (77, "auth.login") == (told.code, told.first["id"])
    assert words in told.first["text"]
    assert PASSWORD not in told.text


def test_password_that_ends_at_a_comment(account):
    """That a # has cut the password off is in the line that fails."""
    told = account(
        login=(f"AuthUser={USER}", "AuthPass=half #whole"),
        users={USER: "half #whole"},
    )

    assert "In line 8 a # behind a blank ends the password." in told.first["text"]


def test_password_without_user(account):
    """Where the mailhub wants a login, the missing half of ours is the cause."""
    told = account(login=(f"AuthPass={PASSWORD}",))

    assert (77, "smtp.sender") == (told.code, told.first["id"])
    assert "there is AuthPass but no AuthUser" in told.first["text"]
    assert "add a line AuthUser=" in told.first["next"]


def test_expired_token(account):
    """A refused token is no refused password."""
    told = account(
        "AuthMethod=XOAUTH2",
        mechanisms="XOAUTH2",
        replies={"AUTH": "535 5.7.8 Username and Password not accepted."},
    )

    assert "does not accept the access token" in told.first["text"]
    assert "may have expired" in told.first["next"]


@pytest.mark.parametrize(
    ("reply", "name", "words"),
    [
        ("close", "auth.broken", "some mailhubs break off"),
        ("500 5.5.1 unknown command", "auth.login", "does not understand this login"),
        ("525 5.7.13 no more of this", "auth.login", "has closed this account"),
        ("535 5.7.8 mailbox is locked", "auth.login", "has closed this account"),
    ],
)
def test_login_that_is_not_answered_well(account, reply, name, words):
    """Not every end of AUTH says that the password is wrong."""
    told = account(replies={"AUTH": reply})

    assert name == told.first["id"]
    assert words in line(told)


@pytest.mark.parametrize(
    ("replies", "users"),
    [
        ({"EHLO": "250-hub.test\r\n250 STARTTLS"}, {}),
        ({"AUTH": "530 5.7.0 Must issue a STARTTLS command first"}, {USER: PASSWORD}),
        ({"AUTH": "538 5.7.11 Encryption required"}, {USER: PASSWORD}),
    ],
)
def test_login_only_by_tls(bench, replies, users):
    """A mailhub that lets nobody log in before STARTTLS is not short of AUTH."""
    with running(Hub(replies=replies, users=users)) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}", "UseTLS=no", *LOGIN)
        told = bench.doctor()

    assert (77, "tls.wanted") == (told.code, told.first["id"])
    assert "the connection is in clear" in told.first["text"]
    assert "UseSTARTTLS=yes" in told.first["next"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("421 4.3.2 busy", "is not ready: 421 4.3.2 busy"),
        ("554 5.7.1 not welcome", "refuses to talk to this machine"),
        ("502 5.5.1 what", "does not know EHLO"),
        ("550 5.7.1 Helo command rejected: Host not found", "accept our name box.corp"),
        ("554 5.7.1 192.0.2.1 is listed at dnsbl.corp.test", "on a list of those that"),
    ],
)
def test_refused_hello(account, reply, words):
    """A refused EHLO is not always about the name that was said."""
    told = account(replies={"EHLO": reply})

    assert "smtp.hello" == told.first["id"]
    assert words in told.first["text"]


@pytest.mark.parametrize("other", ["LMTP", "FTP"])
def test_who_greets_like_a_mailhub(bench, other):
    """Others greet with 220, too."""
    no = "500 5.5.1 what"
    replies = {"GREETING": f"220 hub {other} ready", "EHLO": no, "HELO": no}
    with running(Hub(replies=replies)) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor()

    assert f"speaks {other}, not SMTP" in told.first["text"]


@pytest.mark.parametrize(
    ("replies", "words", "text", "step"),
    [
        (
            {"MAIL": "450 4.1.8 Sender address rejected: Domain not found"},
            (),
            "finds no domain box.corp.test",
            "set RewriteDomain",
        ),
        (
            {"MAIL": "550 5.1.8 Access denied, bad outbound sender"},
            (),
            "refused the sender",
            "set an address that it accepts",
        ),
        (
            {"MAIL": "553 5.7.1 Sender address rejected: not owned by user"},
            (),
            "refused the sender",
            f"add the line {ME}:{USER} to ",
        ),
        (
            {"MAIL": "550 5.4.5 Daily user sending limit exceeded."},
            (),
            "has sent as much as its provider allows",
            "wait until the limit ends",
        ),
        (
            {"RCPT": "450 4.1.2 Recipient address rejected: Domain not found"},
            ("ann@exmaple.org",),
            "does not take ann@exmaple.org now",
            "check the domain of the address",
        ),
        (
            {"RCPT": "550 5.7.1 Client host blocked using zen.spamhaus.org"},
            ("ann@example.org",),
            "on a list of those that send spam",
            "587 or 465",
        ),
        (
            {"GREETING": "554 5.7.1 your address is listed at zen.spamhaus.org"},
            (),
            "on a list of those that send spam",
            "587 or 465",
        ),
        ({"GREETING": "close"}, (), "closed the connection", "whether this machine"),
    ],
)
def test_refusals(account, replies, words, text, step):
    """What is said of sender, recipient and machine is said in plain words."""
    told = account(replies=replies, words=words)

    assert text in told.first["text"]
    assert step in told.first["next"]


def test_refused_sender_of_revaliases(bench, account):
    """The line that gives the refused sender is named."""
    bench.conf.with_name("revaliases").write_text(f"# ours\n{ME}:boss@corp.test\n")
    told = account(replies={"MAIL": "553 5.7.1 not owned by user"})

    assert (69, "smtp.sender") == (told.code, told.first["id"])
    assert (
        f"correct the sender in {bench.conf.parent}/revaliases, line 2"
        == (told.first["next"])
    )


def test_root_that_does_not_exist(account):
    """Whoever has said who gets the mail of root wants it to arrive."""
    told = account("root=typo@corp.test", replies={"RCPT": "550 5.1.1 nobody"})

    assert (67, "smtp.recipient") == (told.code, told.first["id"])
    assert "Mail for root does not arrive" in told.first["text"]
    assert "correct Root in " in told.first["next"]
    assert told.first["next"].endswith("line 9")


def test_blocked_for_all_without_a_login(bench):
    """A block list is an error though nobody asked about an address."""
    reply = "550 5.7.1 Client host blocked using zen.spamhaus.org"
    with running(Hub(replies={"RCPT": reply})) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor()

    assert (67, "smtp.recipient") == (told.code, told.first["id"])
    assert "on a list of those that send spam" in told.first["text"]


@pytest.mark.parametrize(("size", "state"), [(20, "error"), (5000, "warning")])
def test_small_size(account, size, state):
    """A mailhub that takes next to nothing, or not even the test message."""
    told = account(extensions=(f"SIZE {size}",))
    found = [f for f in told.all("smtp.size") if f["state"] == state]

    assert (65 if state == "error" else 0) == told.code
    assert "that is very little" in found[0]["text"]


def test_our_least_version_of_tls(account):
    """When TLSMinVersion is the cause the mailhub is not to blame."""
    told = account("TLSMinVersion=1.3", kind="tls1.2")

    assert (75, "tls.old") == (told.code, told.first["id"])
    assert "speaks TLSv1.2 at most, and TLSMinVersion=1.3" in told.first["text"]
    assert "TLSMinVersion=1.2" in told.first["next"]


def test_expired_or_the_clock(account):
    """Who reads that a certificate has expired can see what the clock says."""
    assert "clock of this machine); it says 20" in account(kind="expired").first["next"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["TLS_CA_File=/no/ca.pem"], "correct the path in TLS_CA_File"),
        (["UseTLSCert=yes", "TLSCert=CA"], "has no private key in it"),
        (["UseTLSCert=yes", "TLSCert=CA", "TLSKey=/no"], "correct the path in TLSKey"),
    ],
)
def test_files_of_tls(account, certificates, lines, words):
    """Which file, and what is wrong with it."""
    path = certificates.text("authority")
    told = account(
        *(one.replace("CA", path) if "Cert=CA" in one else one for one in lines)
    )

    assert (78, "tls.files") == (told.code, told.first["id"])
    assert words in line(told)


def test_own_certificate_and_key(account, certificates, tmp_path):
    """Certificate and key have to be there, in the clear, and belong together."""
    mine, key, _between = certificates.chain("good")
    _leaf, other, _between = certificates.chain("other-name")
    places = {name: tmp_path / name for name in ("mine", "other", "locked")}
    places["mine"].write_bytes(mine.public_bytes(Encoding.PEM))
    for name, which, lock in (
        ("other", other, NoEncryption()),
        ("locked", key, BestAvailableEncryption(b"pw")),
    ):
        made = which.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
        places[name].write_bytes(made)

    for cert, its_key, words in (
        ("mine", "other", "is not that of the certificate in "),
        ("mine", "locked", "take the encryption off (openssl pkey -in "),
        ("other", "other", "has no certificate in PEM form"),
    ):
        told = account(
            "UseTLSCert=yes", f"TLSCert={places[cert]}", f"TLSKey={places[its_key]}"
        )

        assert "tls.files" == told.first["id"]
        assert words in line(told)


def test_authority_in_der(account, certificates, tmp_path):
    """A certificate in the other form is told how to change it."""
    mine, _key, _between = certificates.chain("good")
    place = tmp_path / "ca.crt"
    place.write_bytes(mine.public_bytes(Encoding.DER))

    assert f"openssl x509 -inform DER -in {place}" in line(
        account(f"TLS_CA_File={place}")
    )


@needs_root
def test_authority_that_cannot_be_read(square, secure):
    """A file of authorities that root alone can read."""
    hub = secure()
    authority = square.place / "ca.pem"
    authority.touch(0o600)
    square.configure(
        f"mailhub=127.0.0.1:{hub.port}",
        *("UseTLS=yes", f"TLS_CA_File={authority}"),
        mode=0o644,
    )
    told = square.doctor(uid=64123)

    assert (78, "tls.files") == (told.code, told.first["id"])
    assert f"chmod a+r {authority}" == told.first["next"]


@needs_root
def test_group_that_may_read(square):
    """Who is not in the group that may read is told how to get there."""
    square.configure("mailhub=127.0.0.1:1", mode=0o640)
    os.chown(square.conf, 0, grp.getgrnam("mail").gr_gid)
    told = square.doctor(uid=64123)

    assert "sudo usermod -aG mail uid64123" in told.first["next"]


@pytest.fixture
def at_home(square, hub):
    """Return a function that runs the doctor for a user with his own configuration."""
    own = square.place / ".config" / "ssmtp"
    own.mkdir(parents=True)
    square.conf = own / "ssmtp.conf"
    square.configure(f"mailhub=127.0.0.1:{hub.port}")
    for place in (own, square.conf):
        os.chown(place, 64123, 64123)
    square.environ["HOME"] = str(square.place)

    def examine(change):
        change(square.conf)
        done = square.run("--json", uid=64123)
        found = json.loads(done.stdout)["findings"]
        failed = next((f for f in found if f["state"] == "error"), None)
        return done.returncode, failed and failed["text"], failed and failed["next"]

    return examine


@needs_root
def test_own_configuration(at_home):
    """What is closed below works when it is open."""
    assert (0, None, None) == at_home(lambda conf: None)


@needs_root
@pytest.mark.parametrize(
    ("change", "words", "step"),
    [
        (lambda conf: conf.chmod(0), "cannot be read", "chmod u+r "),
        (lambda conf: os.chown(conf, 0, 0), "cannot be read", "sudo chown uid64123 "),
        (
            lambda conf: os.chown(conf, 1234, 0),
            "belongs to another user",
            "sudo chown uid64123 ",
        ),
        (lambda conf: conf.parent.chmod(0), "is closed to this user", "chmod u+x "),
    ],
)
def test_own_configuration_that_is_closed(at_home, change, words, step):
    """A file that is there, and cannot be read or seen, is not said to be missing."""
    code, text, next_ = at_home(change)

    assert 78 == code
    assert words in text
    assert next_.startswith(step)


def test_path_through_a_file(bench):
    """A configuration that would lie in a file."""
    bench.configure("root=x@corp.test")
    bench.conf = bench.conf / "ssmtp.conf"
    told = bench.doctor()

    assert (78, "config.file") == (told.code, told.first["id"])
    assert "Not a directory" in told.first["text"]


@needs_root
def test_file_of_another_user(bench, hub):
    """A configuration that somebody else owns is for chown, not for chmod."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    os.chown(bench.conf, 64123, 0)
    told = bench.doctor()

    assert f"chown 0 {bench.conf}" in [f["next"] for f in told.all("config.writable")]


def test_link_to_nowhere(bench):
    """A configuration that is a link to what is not there any more."""
    bench.conf.symlink_to(bench.place / "gone")
    told = bench.doctor()

    assert (78, "config.file") == (told.code, told.first["id"])
    assert f"is a link to {bench.place}/gone" in told.first["text"]


@pytest.mark.parametrize(
    ("content", "words", "step"),
    [
        (b"\0" * 400, "holds nothing but NULs", "backup"),
        (b"<!DOCTYPE html>\n<html>\n<body>404\n", "looks like HTML", "ssmtpctl setup"),
        (
            b"defaults\nauth on\naccount default\nhost mail.corp.test\n",
            "looks like msmtp",
            "ssmtpctl migrate msmtp --from ",
        ),
    ],
)
def test_no_configuration_at_all(bench, content, words, step):
    """A file that is something else is one mistake, not one for each line."""
    bench.conf.write_bytes(content)
    bench.conf.chmod(0o600)
    told = bench.doctor()

    assert ["config.kind"] == told.states("error")
    assert 78 == told.code
    assert words in told.first["text"]
    assert step in told.first["next"]


def test_not_in_utf_8(bench, hub):
    """A line in another encoding is named, but for comments."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "# ?", "root=caf?@corp.test")
    bench.conf.write_bytes(bench.conf.read_bytes().replace(b"?", b"\xe9"))
    told = bench.doctor()

    assert "line 6 is not written in UTF-8" in told.one("config.encoding")["text"]


@pytest.mark.parametrize(
    ("written", "step"),
    [
        ("mailhub=smtps://mail.corp.test", "such as Mailhub=smtp.example.org:587"),
        ("UseTLS=yess", "such as UseTLS=yes"),
        ("rewriteDomain=http://corp.test", "such as RewriteDomain=example.org"),
        ("AuthUser: me@corp.test", "write AuthUser=value"),
        ("TLSMinVersion=1.4", "such as TLSMinVersion=1.2"),
    ],
)
def test_how_a_line_is_written(bench, hub, written, step):
    """A line that means nothing is answered with one that does."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", written)
    told = bench.doctor()

    assert (78, "config.line") == (told.code, told.first["id"])
    assert step in told.first["next"]


def test_revaliases_that_are_a_directory(bench, hub):
    """What stops mail stops the doctor: revaliases that are no file."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    bench.conf.with_name("revaliases").mkdir()
    told = bench.doctor()

    assert (78, "people.revaliases") == (told.code, told.first["id"])


@pytest.mark.parametrize("written", [f"{ME}=me@corp.test", f"{ME} me@corp.test"])
def test_revaliases_without_colon(bench, hub, written):
    """A line that is passed over is told of."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    bench.conf.with_name("revaliases").write_text(f"# ours\n{written}\n")
    told = bench.doctor()

    assert "line 2 has no login and colon" in told.one("people.revaliases")["text"]
    assert f"such as {ME}:you@" in told.one("people.revaliases")["next"]


@pytest.mark.parametrize(
    ("written", "domain"),
    [
        ("rewriteDomain=localhost", "localhost"),
        ("rewriteDomain=box.local", "box.local"),
        ("hostname=192.0.2.1", "192.0.2.1"),
    ],
)
def test_domain_of_one_machine(bench, hub, written, domain):
    """A domain that nobody else knows gets no replies."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", written)
    found = bench.doctor().one("people.domain")

    assert "warning" == found["state"]
    assert f"end in @{domain}, " in found["text"]
    assert "set RewriteDomain" in found["next"]


def test_recipient_without_whole_domain(bench, hub):
    """A recipient whose domain has no dot is mostly a slip."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}")
    told = bench.doctor("ann@example")

    assert ["ok", "warning"] == [f["state"] for f in told.all("people.address")]
    assert "example has no dot" in told.all("people.address")[1]["text"]


def test_missing_aliases_name_their_key(bench, hub):
    """A file of aliases that is not there is named with the key that wants it."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "Aliases=/no/aliases")

    assert "Aliases names /no/aliases" in bench.doctor().first["text"]


def test_address_that_needs_smtputf8(bench):
    """An address that the mailhub cannot take is no trouble of the login."""
    with running(Hub(extensions=("PIPELINING",))) as hub:
        bench.configure(f"mailhub=127.0.0.1:{hub.port}")
        told = bench.doctor("änn@example.org")

    assert (65, "people.address") == (told.code, told.first["id"])
    assert "needs SMTPUTF8" in told.first["text"]


@pytest.mark.parametrize(
    ("mailhub", "more", "name", "step"),
    [
        ("smtp.gmial.com", (), "dns.name", "is it smtp.gmail.com that was meant?"),
        ("127.0.0.1:993", (), "tcp.closed", "Mailhub=127.0.0.1:465 or "),
        ("unix:/no/socket", (), "tcp.closed", "listens on /no/socket"),
        ("127.0.0.1:1", ("SourceAddress=192.0.2.1",), "tcp.closed", "SourceAddress to"),
        ("127.0.0.1:1", (), "tcp.closed", "line 4, and that the mailhub runs"),
    ],
)
def test_places(bench, monkeypatch, mailhub, more, name, step):
    """What cannot be found or reached is told with what to write, and where."""
    bench.configure(f"mailhub={mailhub}", *more)
    told = bench.doctor()
    if told.first["id"] == "dns.name" and told.code == 75:
        pytest.skip("there is no name server to be sure")

    assert name == told.first["id"]
    assert step in told.first["next"]


def test_time_that_is_too_short(account):
    """Who gives a mailhub no time is told so, before the mailhub is blamed."""
    told = account("CommandTimeout=0.2", replies={"MAIL": "hang"})

    assert "; CommandTimeout is no more than 0.2 s" in told.first["next"]


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ((), "note"),
        (("root=me@corp.test",), None),
        (("rewriteDomain=corp.test",), None),
    ],
)
def test_mail_of_root_that_nobody_reads(bench, hub, lines, state):
    """Mail for root at this very machine is worth a word."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", *lines)
    found = bench.doctor().all("people.root-unread")

    assert [state] * bool(state) == [finding["state"] for finding in found]


def test_log_that_cannot_be_written(bench, hub):
    """A log that gets no line is a warning, for mail goes out without it."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", "LogFile=/no/such/log")
    told = bench.doctor()

    assert 0 == told.code
    assert "/no/such does not exist" in told.one("log.file")["text"]


def test_log_that_is_a_link(bench, hub, tmp_path):
    """A link is not followed when a line is added."""
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", f"LogFile={tmp_path}/log")

    assert "it is a link" in bench.doctor().one("log.file")["text"]


def test_log_that_can_be_written(bench, hub, tmp_path):
    """Looking at the log does not make it."""
    bench.configure(f"mailhub=127.0.0.1:{hub.port}", f"LogFile={tmp_path}/log")
    told = bench.doctor()

    assert "ok" == told.one("log.file")["state"]
    assert not (tmp_path / "log").exists()
