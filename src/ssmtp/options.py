"""The sendmail options: one table, and the scanner that reads it.

The command line of sendmail is forty years of other programs' habits. The rules here:

1. An option that exists anywhere takes its value as it does there, joined (`-fa@b`) or
   separate (`-f a@b`), so that a value is never mistaken for a recipient.
2. Options and recipients may be mixed. After `--` everything is a recipient, and only
   there may a recipient begin with a hyphen.
3. What cannot be meant is refused (exit 64) before anything is read or sent; the
   classic answered 0 to much of it, and the mail was gone.
4. Options that name files for writing are accepted and ignored: whoever can add an
   argument to a sendmail call must not be able to write a file.

`TABLE` is data: the scanner, `--help`, the manual page and the tests read it.
"""

from __future__ import annotations

from ssmtp.errors import UsageError
from ssmtp.values import Secret, mechanism, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Option:
    """A row of `TABLE`.

    `name` is the letter, or the two letters of -a, -b and -o. `value` names the value
    in help texts; it is empty for an option that takes none. `arity` tells how the
    value is taken:

    * none: no value; more letters may follow in the same argument
    * needed: the rest of the argument, or else the next argument
    * joined: the rest of the argument, which may be empty

    `effect` is the name of a method of the scanner, with a parameter after a blank;
    empty for what is ignored. `status` is acted, ignored or refused.
    """

    __slots__ = ("arity", "effect", "help", "name", "status", "value")

    def __init__(
        self,
        name: str,
        value: str,
        arity: str,
        status: str,
        effect: str,
        text: str,
    ) -> None:
        self.name = name
        self.value = value
        self.arity = arity
        self.status = status
        self.effect = effect
        self.help = text


TABLE: tuple[Option, ...] = (
    # What is asked for.
    Option(
        "t",
        "",
        "none",
        "acted",
        "flag read_recipients",
        "Take the recipients from the To, Cc and Bcc fields, besides any that are"
        " given as arguments.",
    ),
    Option(
        "f",
        "address",
        "needed",
        "acted",
        "sender",
        "The sender: the reverse-path, and the From field when there is none. It holds"
        " when FromLineOverride=yes is set. An empty address or <> is the null"
        " reverse-path and always holds.",
    ),
    Option("r", "address", "needed", "acted", "sender", "The same as -f."),
    Option(
        "F",
        "name",
        "needed",
        "acted",
        "text full_name",
        "The full name for a From field that is made here.",
    ),
    Option(
        "i",
        "",
        "none",
        "acted",
        "flag ignore_dots",
        "A line with nothing but a dot does not end the message. It never does unless"
        " the message comes from a terminal.",
    ),
    Option("oi", "", "joined", "acted", "flag ignore_dots", "The same as -i."),
    Option(
        "C",
        "file",
        "needed",
        "acted",
        "path config_path",
        "The configuration file to read.",
    ),
    Option(
        "N",
        "conditions",
        "needed",
        "acted",
        "notify",
        "When to send a delivery status notification: never, or some of success,"
        " failure, delay with commas between them.",
    ),
    Option(
        "R",
        "what",
        "needed",
        "acted",
        "ret",
        "What a delivery status notification returns: full or hdrs.",
    ),
    Option(
        "V",
        "id",
        "needed",
        "acted",
        "envid",
        "The envelope id for delivery status notifications. Alone, -V prints the"
        " version.",
    ),
    Option(
        "B",
        "type",
        "needed",
        "acted",
        "body",
        "The type of the body: 7BIT or 8BITMIME.",
    ),
    Option(
        "v",
        "",
        "none",
        "acted",
        "flag verbose",
        "Show the dialogue with the mailhub on standard error.",
    ),
    Option("ov", "", "joined", "acted", "flag verbose", "The same as -v."),
    Option("4", "", "none", "acted", "family 4", "Use IPv4 only."),
    Option("6", "", "none", "acted", "family 6", "Use IPv6 only."),
    Option("au", "user", "needed", "acted", "text auth_user", "The user for AUTH."),
    Option(
        "ap",
        "password",
        "needed",
        "acted",
        "password",
        "The password for AUTH. Every user of this machine can see it in the list of"
        " processes: prefer one of the AuthPass keys of ssmtp.conf.",
    ),
    Option(
        "am",
        "mechanism",
        "needed",
        "acted",
        "method",
        "The mechanism for AUTH, such as PLAIN or SCRAM-SHA-256.",
    ),
    # What else to do.
    Option(
        "bm",
        "",
        "joined",
        "acted",
        "mode send",
        "Take a message on standard input and send it. This is the default.",
    ),
    Option(
        "bs",
        "",
        "joined",
        "acted",
        "mode smtp",
        "Speak SMTP on standard input and output.",
    ),
    Option(
        "bp",
        "",
        "joined",
        "acted",
        "mode mailq",
        "List what could not be sent and is kept. The same as mailq.",
    ),
    Option(
        "bi",
        "",
        "joined",
        "acted",
        "mode newaliases",
        "Do nothing, successfully: there is no alias database to build. The same as"
        " newaliases.",
    ),
    Option(
        "I",
        "",
        "none",
        "acted",
        "rebuild",
        "The same as -bi, unless there are recipients.",
    ),
    Option(
        "bv",
        "",
        "joined",
        "acted",
        "mode verify",
        "Show which addresses the recipients lead to, and send nothing.",
    ),
    Option(
        "q",
        "what",
        "joined",
        "acted",
        "mode flush",
        "Send again what is kept, but for what may have been delivered already."
        " Intervals and selections (-q30m, -qR...) are ignored.",
    ),
    Option(
        "L",
        "tag",
        "needed",
        "acted",
        "text log_tag",
        "A tag for the log line.",
    ),
    # What other programs pass, and what needs nothing done.
    Option("o", "option", "needed", "ignored", "loose", "Any other -o option."),
    Option("e", "mode", "needed", "ignored", "", "How to report errors (-em, -ep...)."),
    Option("A", "c or m", "needed", "ignored", "", "Which sendmail.cf to use."),
    Option("D", "file", "needed", "ignored", "", "A file for debugging output."),
    Option("E", "", "none", "ignored", "", "What some mail programs pass."),
    Option("G", "", "none", "ignored", "", "The message comes from a gateway."),
    Option("M", "id", "needed", "ignored", "", "A message id or a macro."),
    Option("O", "option=value", "needed", "ignored", "", "A long sendmail option."),
    Option("U", "", "none", "ignored", "", "The message comes from a user."),
    Option("X", "file", "needed", "ignored", "", "A log file. It is never written."),
    Option("c", "", "none", "ignored", "", "Do not connect at once."),
    Option("d", "level", "joined", "ignored", "", "Debugging; see -v."),
    Option("h", "count", "needed", "ignored", "hops", "The hop count."),
    Option("m", "", "none", "ignored", "", "Send to the sender too."),
    Option("n", "", "none", "ignored", "", "Do not use aliases."),
    Option("p", "protocol", "needed", "ignored", "", "How the message was received."),
    Option("x", "", "none", "ignored", "", "What other mail programs pass."),
    # What is not done here.
    Option("ba", "", "joined", "refused", "", "ARPANET mode."),
    Option("bd", "", "joined", "refused", "", "A daemon that receives mail."),
    Option("bD", "", "joined", "refused", "", "A daemon in the foreground."),
    Option("bh", "", "joined", "refused", "", "The host status database."),
    Option("bH", "", "joined", "refused", "", "The host status database."),
    Option("bl", "", "joined", "refused", "", "A daemon for local mail."),
    Option("bP", "", "joined", "refused", "", "The number of queued messages."),
    Option("bt", "", "joined", "refused", "", "The address test mode."),
    Option("bz", "", "joined", "refused", "", "Freezing the configuration."),
)

# Letters whose second letter chooses the row.
FAMILIES = "abo"

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        "echo 'It works.' | {program} me@example.com",
        "send a line of text",
    ),
    (
        "{program} -t < message",
        "send to whom the message itself names",
    ),
    (
        "{program} -v -f '' -- me@example.com < message",
        "watch the dialogue; send with the null reverse-path",
    ),
    ("mailq", "list what could not be sent"),
)

WAIT = (
    "Wait for the mailhub's own answer when the message goes to the agent, and tell it"
    " by the exit code. Where that is 75 the message may stay in the queue; then"
    " standard error says so, and it must not be sent again."
)
_HINT = "--help shows the options"
# What Exim takes after -o with its value in an argument of its own, and the letters
# after which sendmail wants a number.
_APART = frozenset("Ma Maa Mai Mas Mc Mi Mm Mr Ms Mt Mv".split())
_NUMBERED = "BFLTXgrstu"
# RFC 3461 §4.1: each word once, or NEVER alone.
_CONDITIONS = ("SUCCESS", "FAILURE", "DELAY")
_LONGEST_ENVID = 100  # characters in xtext, RFC 3461 §4.4


class Options:
    """What the command line asks for. None means not given."""

    __slots__ = (
        "auth_method",
        "auth_pass",
        "auth_user",
        "body",
        "config_path",
        "envid",
        "family",
        "full_name",
        "ignore_dots",
        "log_tag",
        "mode",
        "notify",
        "program",
        "read_recipients",
        "recipients",
        "ret",
        "reverse_path",
        "verbose",
        "wait",
    )

    def __init__(self, program: str) -> None:
        self.program = program
        self.mode = {"mailq": "mailq", "newaliases": "newaliases"}.get(program, "send")
        self.recipients: list[str] = []
        self.read_recipients = False
        self.reverse_path: str | None = None
        self.full_name: str | None = None
        self.ignore_dots = False
        self.config_path: str | None = None
        self.notify: str | None = None
        self.ret: str | None = None
        self.envid: str | None = None
        self.body: str | None = None
        self.verbose = False
        self.family = 0
        self.auth_user: str | None = None
        self.auth_pass: Secret | None = None
        self.auth_method: str | None = None
        self.log_tag: str | None = None
        self.wait = False


def copied(given: Options) -> Options:
    """Return a copy that may be changed."""
    options = Options(given.program)
    for name in given.__slots__:
        setattr(options, name, getattr(given, name))
    return options


def scan(program: str, argv: Sequence[str]) -> Options:
    """Read the arguments after the program's name.

    A password in them is overwritten with dots, in `argv` if it can be changed and in
    the copies that the interpreter keeps. Raises `UsageError` (64).
    """
    return _Scanner(program, argv).run()


class _Scanner:
    def __init__(self, program: str, argv: Sequence[str]) -> None:
        self.options = Options(program)
        self.argv = argv
        self.at = 0
        self.rows = {row.name: row for row in TABLE}
        self.rebuilding = False

    def run(self) -> Options:
        options = self.options
        while self.at < len(self.argv):
            word = self.argv[self.at]
            self.at += 1
            if word == "--":
                options.recipients.extend(self.argv[self.at :])
                break
            if word == "--wait":
                options.wait = True
            elif word[:2] == "--":
                self.long(word)
                return options
            elif word[:1] == "-":
                # A hyphen alone is how some say that the message is on standard input.
                self.cluster(word)
            else:
                options.recipients.append(word)
        someone = options.recipients or options.read_recipients
        if self.rebuilding and not someone and options.mode == "send":
            options.mode = "newaliases"
        if options.mode == "flush" and options.read_recipients:
            # -t says that there is a message: it must not be left unread with exit 0.
            options.mode = "send"
        if options.program in ("mailq", "newaliases") and options.mode != "version":
            options.mode = options.program
        return options

    def long(self, word: str) -> None:
        name = word[2:]
        if name not in ("help", "version"):
            raise UsageError(f"unknown option {shown(word.partition('=')[0])}", _HINT)
        self.options.mode = name

    def cluster(self, word: str) -> None:
        at = 1
        while at < len(word):
            letter = word[at]
            row = None
            if letter in FAMILIES and at + 1 < len(word):
                row = self.rows.get(word[at : at + 2])
                at += row is not None
            elif letter in FAMILIES and self.at < len(self.argv):
                # The letter of -b and the like may be an argument of its own, too.
                after = self.argv[self.at]
                row = self.rows.get(letter + after) if len(after) == 1 else None
                if row is not None and row.arity == "joined":
                    self.at += 1
                else:
                    row = None
            row = row or self.rows.get(letter)
            if row is None:
                raise self.unknown(word[at:])
            at += 1
            if row.status == "refused":
                what = row.help[0].lower() + row.help[1:-1]
                raise UsageError(
                    f"-{row.name} ({what}) is not supported: this program only"
                    " submits mail",
                    _HINT,
                )
            value = ""
            if row.arity != "none":
                value = word[at:]
                if not value and row.arity == "needed":
                    value = self.next(row)
                at = len(word)
            self.act(row, value)

    def next(self, row: Option) -> str:
        """Take the next argument as the value of an option that needs one."""
        if self.at < len(self.argv):
            value = self.argv[self.at]
            self.at += 1
            return value
        if row.name == "V":
            # Alone is alone: with somebody to send to, an exit code of 0 would
            # pretend that the message was sent.
            if not self.options.recipients and not self.options.read_recipients:
                return ""
        raise UsageError(f"-{row.name} needs a value ({row.value})", _HINT)

    def unknown(self, rest: str) -> UsageError:
        letter = rest[0]
        if letter in FAMILIES:
            return UsageError(f"unknown option -{shown(rest[:2])}", _HINT)
        step = _HINT
        other = letter.swapcase()
        if letter == "s":
            step = "the subject is a line of the message: Subject: ..."
        elif other in self.rows:
            step = f"did you mean -{other}? {_HINT}"
        return UsageError(f"unknown option -{shown(letter)}", step)

    def act(self, row: Option, value: str) -> None:
        effect, _, parameter = row.effect.partition(" ")
        if effect:
            getattr(self, "on_" + effect)(row, value, parameter)

    def on_flag(self, row: Option, value: str, attribute: str) -> None:
        setattr(self.options, attribute, True)

    def on_text(self, row: Option, value: str, attribute: str) -> None:
        setattr(self.options, attribute, value)

    def on_path(self, row: Option, value: str, attribute: str) -> None:
        if not value:
            raise UsageError(f"-{row.name} needs the name of a file", _HINT)
        setattr(self.options, attribute, value)

    def on_mode(self, row: Option, value: str, mode: str) -> None:
        self.options.mode = mode

    def on_rebuild(self, row: Option, value: str, parameter: str) -> None:
        self.rebuilding = True

    def on_family(self, row: Option, value: str, family: str) -> None:
        self.options.family = int(family)

    def on_sender(self, row: Option, value: str, parameter: str) -> None:
        # An address in the place of which an option stands is a missing address.
        if value[:1] == "-":
            raise UsageError(
                f"-{row.name} needs an address, and {shown(value[:40])} is none",
                "an empty address is written ''",
            )
        self.options.reverse_path = value

    def on_loose(self, row: Option, value: str, parameter: str) -> None:
        """Skip the value of an -o option when it stands in an argument of its own.

        Sendmail joins them (`-oQ/dir`), so only what can be no recipient is taken for
        a value.
        """
        after = self.argv[self.at] if self.at < len(self.argv) else ""
        if len(value) == 1 and "@" not in after:
            numbered = value in _NUMBERED and after[:1].isdigit()
            self.at += numbered or after[:1] == "/"
        elif value in _APART and after[:1] not in ("", "-"):
            self.at += 1

    def on_hops(self, row: Option, value: str, parameter: str) -> None:
        if not (value.isascii() and value.isdigit()):
            raise UsageError(f"-h needs a hop count, not {shown(value[:40])!r}", _HINT)

    def on_notify(self, row: Option, value: str, parameter: str) -> None:
        words = [word.strip() for word in value.upper().split(",")]
        if words != ["NEVER"] and not all(word in _CONDITIONS for word in words):
            raise UsageError(
                f"-N cannot be {shown(value[:40])!r}",
                "it is never, or some of success,failure,delay",
            )
        self.options.notify = ",".join(dict.fromkeys(words))

    def on_ret(self, row: Option, value: str, parameter: str) -> None:
        if value.upper() not in ("FULL", "HDRS"):
            raise UsageError(
                f"-R cannot be {shown(value[:40])!r}", "it is full or hdrs"
            )
        self.options.ret = value.upper()

    def on_envid(self, row: Option, value: str, parameter: str) -> None:
        if not value and self.at >= len(self.argv):
            self.options.mode = "version"
            return
        # RFC 3461 §4.4: printable US-ASCII; + and = take three characters in xtext.
        encoded = sum(3 if char in "+= " else 1 for char in value)
        if not value or not all(" " <= char <= "~" for char in value):
            raise UsageError("-V needs an envelope id of printable characters", _HINT)
        if value[0] == "-" or encoded > _LONGEST_ENVID:
            reason = "begins with a hyphen" if value[0] == "-" else "is too long"
            raise UsageError(f"-V: the envelope id {reason}", _HINT)
        self.options.envid = value

    def on_body(self, row: Option, value: str, parameter: str) -> None:
        if value.upper() not in ("7BIT", "8BITMIME"):
            raise UsageError(
                f"-B cannot be {shown(value[:40])!r}", "it is 7BIT or 8BITMIME"
            )
        self.options.body = value.upper()

    def on_method(self, row: Option, value: str, parameter: str) -> None:
        try:
            self.options.auth_method = mechanism(value)
        except ValueError as error:
            raise UsageError(f"-am {error}", _HINT) from None

    def on_password(self, row: Option, value: str, parameter: str) -> None:
        # The arguments that are kept with a failed message hold dots: sent again, it
        # has to make do with the password of the configuration.
        if value != str(Secret(value)):
            self.options.auth_pass = Secret(value)
            self.wipe(value)

    def wipe(self, value: str) -> None:
        """Overwrite the argument that was read last, wherever a copy of it is."""
        import os
        import sys

        word = self.argv[self.at - 1]
        dots = word[: len(word) - len(value)] + str(Secret(value))
        raw = word.encode("utf-8", "surrogateescape")
        if isinstance(self.argv, list):
            self.argv[self.at - 1] = dots
        for copy in (sys.argv, sys.orig_argv):
            for index, text in enumerate(copy):
                if os.fsencode(text) == raw:
                    copy[index] = dots


def help_text(program: str) -> str:
    """Return what --help prints: examples first."""
    width = max(len(_usage(row)) for row in TABLE) + 2
    lines = ["Examples:"]
    for command, meaning in EXAMPLES:
        lines.append(f"  {command.format(program=program)}")
        lines.append(f"      {meaning}")
    lines += ["", f"Usage: {program} [option ...] [--] [recipient ...]", ""]
    for status, title in (
        ("acted", "Options:"),
        ("ignored", "Accepted, without effect:"),
        ("refused", "Refused:"),
    ):
        lines.append(title)
        for row in TABLE:
            if row.status == status:
                lines += _described(_usage(row), row.help, width)
        if status == "acted":
            lines += _described("--", "What follows is a recipient.", width)
            lines += _described("--help", "Print this.", width)
            lines += _described("--version", "Print the version.", width)
            lines += _described("--wait", WAIT, width)
        lines.append("")
    lines.append(
        "The message is read from standard input. See ssmtp(8), ssmtp.conf(5)."
    )
    return "\n".join(lines) + "\n"


def _usage(row: Option) -> str:
    if not row.value:
        return f"-{row.name}"
    return (
        f"-{row.name}[{row.value}]"
        if row.arity == "joined"
        else (f"-{row.name} {row.value}")
    )


def _described(usage: str, text: str, width: int) -> list[str]:
    """Fold a description to 79 columns, with the usage before its first line."""
    lines = []
    line = f"  {usage:<{width}}"
    for word in text.split():
        if len(line) + len(word) + 1 > 79:
            lines.append(line.rstrip())
            line = " " * (width + 2)
        line += word + " "
    return [*lines, line.rstrip()]
