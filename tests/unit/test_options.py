"""What the command line means."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmtp.errors import UsageError
from ssmtp.options import EXAMPLES, TABLE, Options, copied, help_text, scan

# What a plain run has; everything else is told by the test.
DEFAULTS = {name: getattr(Options("sendmail"), name) for name in Options.__slots__}


def meaning(*argv: str, program: str = "sendmail") -> dict:
    """Return what differs from a command line without arguments."""
    options = scan(program, list(argv))
    told = {name: getattr(options, name) for name in Options.__slots__}
    return {
        name: value
        for name, value in told.items()
        if value != DEFAULTS[name] and name != "program"
    }


def refusal(*argv: str, program: str = "sendmail") -> str:
    with pytest.raises(UsageError) as caught:
        scan(program, list(argv))
    assert 64 == caught.value.exit_code
    return caught.value.sentence()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-t"], {"read_recipients": True}),
        (["-ti"], {"read_recipients": True, "ignore_dots": True}),
        (["-fa@b"], {"reverse_path": "a@b"}),
        (["-f", "a@b"], {"reverse_path": "a@b"}),
        (["-f", ""], {"reverse_path": ""}),
        (["-f", "<>"], {"reverse_path": "<>"}),
        (["-r", "a@b"], {"reverse_path": "a@b"}),
        (["-fa@b", "-rc@d"], {"reverse_path": "c@d"}),
        (["-FCronDaemon"], {"full_name": "CronDaemon"}),
        (["-F", "- Cron -"], {"full_name": "- Cron -"}),
        (["-F", ""], {"full_name": ""}),
        (["-tvFName"], {"read_recipients": True, "verbose": True, "full_name": "Name"}),
        (["-i"], {"ignore_dots": True}),
        (["-oi"], {"ignore_dots": True}),
        (["-o", "i"], {"ignore_dots": True}),
        (["-ov"], {"verbose": True}),
        (["-C", "/x"], {"config_path": "/x"}),
        (["-C/x"], {"config_path": "/x"}),
        (["-N", "never"], {"notify": "NEVER"}),
        (["-Nsuccess,Failure,DELAY"], {"notify": "SUCCESS,FAILURE,DELAY"}),
        (["-N", "delay,delay"], {"notify": "DELAY"}),
        (["-Rhdrs"], {"ret": "HDRS"}),
        (["-R", "Full"], {"ret": "FULL"}),
        (["-Venvid123"], {"envid": "envid123"}),
        (["-V", "a b+c=d"], {"envid": "a b+c=d"}),
        (["-B8BITMIME"], {"body": "8BITMIME"}),
        (["-B", "7bit"], {"body": "7BIT"}),
        (["-4"], {"family": 4}),
        (["-4", "-6"], {"family": 6}),
        (["-auu2"], {"auth_user": "u2"}),
        (["-am", "cram-md5"], {"auth_method": "CRAM-MD5"}),
        (["-amauto"], {}),
        (["-L", "tag"], {"log_tag": "tag"}),
        (["-bm", "-oi", "-t"], {"ignore_dots": True, "read_recipients": True}),
        (["-bs", "-i"], {"mode": "smtp", "ignore_dots": True}),
        (["-bv"], {"mode": "verify"}),
        (["-bp"], {"mode": "mailq"}),
        (["-b", "p"], {"mode": "mailq"}),
        (["-bi"], {"mode": "newaliases"}),
        (["-I"], {"mode": "newaliases"}),
        (["-q"], {"mode": "flush"}),
        (["-q30m"], {"mode": "flush"}),
        (["-qRexample.com"], {"mode": "flush"}),
        (["--help", "-bd"], {"mode": "help"}),
        (["--version", "-bd"], {"mode": "version"}),
        (["-V"], {"mode": "version"}),
        (["-v", "-V"], {"mode": "version", "verbose": True}),
        (["-q", "-bs"], {"mode": "smtp"}),
        (["-q", "-t"], {"read_recipients": True}),
    ],
)
def test_acted_on(argv, expected):
    """Every option that is acted on does what the table says, joined and separate."""

    assert expected == meaning(*argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["-odb"],
        ["-odi"],
        ["-odq"],
        ["-odd"],
        ["-oem"],
        ["-oep"],
        ["-oeq"],
        ["-oeqq"],
        ["-oee"],
        ["-or0s"],
        ["-or1h"],
        ["-oT3h"],
        ["-oQ/var/q"],
        ["-oL9"],
        ["-oA/a"],
        ["-oF0600"],
        ["-og1"],
        ["-oS/s"],
        ["-ot,"],
        ["-ou1"],
        ["-oo"],
        ["-oD"],
        ["-oH"],
        ["-om"],
        ["-oc"],
        ["-o", "di"],
        ["-oQ", "/var/q"],
        ["-oA", "/a"],
        ["-oX", "/var/log/x"],
        ["-or", "1h"],
        ["-oT", "3d"],
        ["-oMr", "ESMTP"],
        ["-oMas", "name"],
        ["-oMsname"],
        ["-em"],
        ["-ep"],
        ["-eq"],
        ["-ew"],
        ["-e", "m"],
        ["-m"],
        ["-n"],
        ["-U"],
        ["-G"],
        ["-E"],
        ["-c"],
        ["-x"],
        ["-GUx"],
        ["-Ac"],
        ["-Am"],
        ["-A", "c"],
        ["-O", "ErrorMode=e"],
        ["-OErrorMode=e"],
        ["-X", "/dev/null"],
        ["-X/dev/null"],
        ["-h", "5"],
        ["-h5"],
        ["-p", "ESMTP:host"],
        ["-pESMTP"],
        ["-d"],
        ["-d6"],
        ["-d0.1"],
        ["-D", "/dev/null"],
        ["-D/dev/null"],
        ["-M", "id123"],
        ["-Mid123"],
        ["-bm"],
        ["-"],
        ["-I"],
    ],
)
@pytest.mark.parametrize("order", ["before", "after"])
def test_accepted_without_effect(argv, order):
    """What other programs pass is accepted, and its value is never a recipient."""
    words = [*argv, "a@b"] if order == "before" else ["a@b", *argv]

    assert {"recipients": ["a@b"]} == meaning(*words)


@pytest.mark.parametrize("argv", [["-oi"], ["-om"], ["-odb"], ["-oQ"], ["-or"]])
@pytest.mark.parametrize("name", ["root", "a@b", "1a@b"])
def test_a_recipient_is_never_taken_for_a_value(argv, name):
    """What may be meant for somebody is not swallowed by an -o option."""
    assert [name] == scan("sendmail", [*argv, name]).recipients


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-bd"], "-bd"),
        (["-bD"], "-bD"),
        (["-bt"], "-bt"),
        (["-bz"], "-bz"),
        (["-ba"], "-ba"),
        (["-bh"], "-bh"),
        (["-bP"], "-bP"),
        (["-b"], "-b"),
        (["-b", "postmaster"], "-b"),
        (["-bQ"], "-bQ"),
        (["-a"], "-a"),
        (["-ax", "a@b"], "-ax"),
        (["-z", "a@b"], "-z"),
        (["-tz"], "-z"),
        (["-T", "a@b"], "did you mean -t?"),
        (["-s", "Hi", "a@b"], "Subject"),
        (["--frobnicate=secret"], "--frobnicate;"),
        (["a@b", "-am"], "-am needs a value"),
        (["a@b", "-au"], "-au needs a value"),
        (["a@b", "-ap"], "-ap needs a value"),
        (["a@b", "-C"], "-C needs a value"),
        (["a@b", "-F"], "-F needs a value"),
        (["a@b", "-f"], "-f needs a value"),
        (["a@b", "-tf"], "-f needs a value"),
        (["a@b", "-V"], "-V needs a value"),
        (["-t", "-V"], "-V needs a value"),
        (["-V", "-t"], "-V"),
        (["a@b", "-M"], "-M needs a value"),
        (["a@b", "-X"], "-X needs a value"),
        (["-C", ""], "-C"),
        (["-f", "-t"], "-f needs an address"),
        (["-f-x@y"], "-f needs an address"),
        (["-r", "-oi"], "-r needs an address"),
        (["-help"], "--help"),
        (["-h", "a@b"], "-h needs a hop count"),
        (["-N", "sometimes"], "-N"),
        (["-N", "never,delay"], "-N"),
        (["-N", ""], "-N"),
        (["-R", "all"], "-R"),
        (["-B", "8BITMIME\r\nRCPT TO:<evil@example.com>"], "-B"),
        (["-B", "BINARYMIME"], "-B"),
        (["-V", "id\r\nRCPT TO:<evil@example.com>"], "-V"),
        (["-V", "\u00e9"], "-V"),
        (["-V", "", "a@b"], "-V"),
        (["-V", "x" * 101], "too long"),
        (["-V", "=" * 34], "too long"),
        (["-am", "ROT13"], "SCRAM-SHA-256"),
    ],
)
def test_refused(argv, said):
    """What cannot be meant is refused with exit 64 and a sentence that names it."""
    sentence = refusal(*argv)

    assert said in sentence
    assert sentence.isprintable()


def test_longest_envelope_id():
    """An envelope id of 100 characters in xtext is still one (RFC 3461 §4.4)."""

    assert {"envid": "x" * 100} == meaning("-V", "x" * 100)
    assert {"envid": "=" * 33} == meaning("-V", "=" * 33)


@pytest.mark.parametrize(
    ("argv", "recipients"),
    [
        (["a@b", "-v", "c@d"], ["a@b", "c@d"]),
        (["--", "-t", "--help"], ["-t", "--help"]),
        (["-i", "--", "a@b", "--", "-x"], ["a@b", "--", "-x"]),
        (["a@b,c@d", ""], ["a@b,c@d", ""]),
        (["--"], []),
    ],
)
def test_recipients(argv, recipients):
    """Options may stand among recipients; after -- everything is a recipient."""

    assert recipients == scan("sendmail", argv).recipients


@pytest.mark.parametrize("name", ["mailq", "newaliases"])
@pytest.mark.parametrize("argv", [[], ["-v"], ["-Ac"], ["-q"], ["-bm"], ["x"], ["-t"]])
def test_name_decides(name, argv):
    """The names mailq and newaliases decide, whatever else is asked for."""

    assert name == scan(name, argv).mode


@pytest.mark.parametrize("name", ["mailq", "newaliases"])
def test_names_have_help(name):
    """Under every name --help and --version answer."""

    assert "help" == scan(name, ["--help"]).mode
    assert "version" == scan(name, ["--version"]).mode
    assert "-bz" in refusal("-bz", program=name)


@pytest.mark.parametrize(
    ("argv", "left"),
    [
        (["-au", "me", "-ap", "pa ss#1", "a@b"], ["-au", "me", "-ap", "••••••", "a@b"]),
        (["-appa ss#1", "a@b"], ["-ap••••••", "a@b"]),
        (["-tvappa ss#1"], ["-tvap••••••"]),
    ],
)
def test_password_is_wiped(argv, left, monkeypatch):
    """A password on the command line is a Secret, and is wiped from every copy."""
    monkeypatch.setattr(sys, "argv", ["sendmail", *argv])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-IS", "sendmail", *argv])
    words = list(argv)

    options = scan("sendmail", words)

    assert options.auth_pass is not None
    assert "pa ss#1" == options.auth_pass.reveal()
    assert left == words
    assert ["sendmail", *left] == sys.argv
    assert ["python3", "-IS", "sendmail", *left] == sys.orig_argv


def test_wiped_password_is_no_password():
    """Arguments kept with a failed message hold dots, and dots are no password."""
    words = ["-ap", "secret"]
    scan("sendmail", words)

    assert {} == meaning(*words)


def test_immutable_arguments():
    """Arguments that cannot be changed are still read."""
    secret = scan("sendmail", ("-apx",)).auth_pass

    assert secret is not None
    assert "x" == secret.reveal()


def test_table_is_sound():
    """No row of the table is there twice, and every row says what it is for."""
    names = [row.name for row in TABLE]

    assert sorted(set(names)) == sorted(names)
    for row in TABLE:
        assert row.status in ("acted", "ignored", "refused")
        assert row.arity in ("none", "needed", "joined")
        assert row.help[:1].isupper()
        assert row.help.endswith(".")
        assert (row.arity == "none") <= (not row.value)
        assert bool(row.effect) or row.status != "acted"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_is_scanned(row):
    """Every row of the table can be reached from a command line."""
    good = {"N": "never", "R": "full", "B": "7BIT", "h": "1", "am": "PLAIN"}
    word = f"-{row.name}{good.get(row.name, 'x') if row.arity == 'needed' else ''}"
    if row.status == "refused":
        assert f"-{row.name} (" in refusal(word)
    else:
        scan("sendmail", [word])


def test_help_begins_with_examples():
    """--help shows examples first, then every option of the table."""
    text = help_text("sendmail")

    assert text.startswith("Examples:\n")
    for command, meaning_ in EXAMPLES:
        assert command.format(program="sendmail") in text
        assert meaning_ in text
    for row in TABLE:
        assert f"  -{row.name}" in text
    assert max(len(line) for line in text.splitlines()) < 80


@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.text("-abBCdefFhiIlLmMNoOpPqrRstTuUvVxX4 ", max_size=6).map("-".__add__),
        ),
        max_size=6,
    )
)
def test_nothing_but_usage_errors(argv):
    """Whatever is typed, the answer is a meaning or a usage error of one line."""
    try:
        recipients, said = scan("sendmail", argv).recipients, ""
    except UsageError as error:
        recipients, said = [], error.sentence()

    assert said.isprintable()
    assert all(word in argv for word in recipients)


def test_wait() -> None:
    """--wait stands anywhere, and counts for nothing else."""
    options = scan("sendmail", ["-i", "--wait", "a@x"])

    assert options.wait
    assert ["a@x"] == options.recipients
    assert not scan("sendmail", ["-i", "a@x"]).wait


def test_a_copy_of_options() -> None:
    """A copy is the same, and may be changed without changing what was given."""
    given = scan("sendmail", ["-i", "-f", "s@x", "a@x"])
    options = copied(given)
    assert all(getattr(given, n) == getattr(options, n) for n in given.__slots__)

    options.wait = True
    assert not given.wait
