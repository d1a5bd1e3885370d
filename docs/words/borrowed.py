"""Texts that ssmtpctl says and that stand elsewhere.

Those of argparse, but for what it has to say to programmers, and reasons that the road
of a message leaves in English for `explain` and `queue` to show. tests/words compares
both with where they come from.
"""

from __future__ import annotations

ARGPARSE: tuple[str | tuple[str, str], ...] = (
    "usage: ",
    "positional arguments",
    "options",
    "subcommands",
    "%(heading)s:",
    "show this help message and exit",
    "show program's version number and exit",
    " (default: %(default)s)",
    "argument %(argument_name)s: %(message)s",
    "the following arguments are required: %s",
    "one of the arguments %s is required",
    "unrecognized arguments: %s",
    "not allowed with argument %s",
    "ignored explicit argument %r",
    "ambiguous option: %(option)s could match %(matches)s",
    "unexpected option string: %s",
    "expected one argument",
    "expected at most one argument",
    "expected at least one argument",
    ("expected %s argument", "expected %s arguments"),
    "invalid %(type)s value: %(value)r",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "invalid choice: %(value)r, maybe you meant %(closest)r? (choose from %(choices)s)",
    "unknown parser %(parser_name)r (choices: %(choices)s)",
    "can't open '%(filename)s': %(error)s",
    "command '%(parser_name)s' is deprecated",
    "option '%(option)s' is deprecated",
    "argument '%(argument_name)s' is deprecated",
    "%(prog)s: warning: %(message)s\n",
    "%(prog)s: error: %(message)s\n",
)

ROAD: tuple[str, ...] = (
    # What is done to a message, and by which rule.
    "trace information (RFC 5321 section 4.4)",
    "there was no Date field (RFC 5322 section 3.6.1)",
    "there is one Date field, and it is a date (RFC 5322 section 3.6.1)",
    "a Date field that is not wanted renamed X-Original-Date",
    "a second Message-ID field dropped",
    "there was no Message-ID field (RFC 5322 section 3.6.4)",
    "Resent fields stand together (RFC 5322 section 3.6.6)",
    "a second From field renamed X-Original-From",
    "there is one From field",
    "there was no From field (RFC 5322 section 3.6.2)",
    "a From field that cannot be read renamed X-Original-From",
    "the From field cannot be read",
    "ForceFrom is on",
    "no address of it means anything elsewhere",
    "a name in it is no address",
    "the caller's own address",
    "the address of -f",
    "what the author wrote stays visible",
    "names without a domain completed",
    "a name without @ gets the domain of Hostname",
    "a name without @ gets the domain of RewriteDomain",
    "Root, because its uid is below 1000",
    "octets that are no UTF-8 encoded",
    "quoted-printable: lines too long (RFC 5321 section 4.5.3.1)",
    "quoted-printable: no 8BITMIME (RFC 6152)",
    "MIME fields say what the 8-bit text is (RFC 2045)",
    "8-bit content stays as it is, although 8BITMIME is missing",
    "8-bit parts re-encoded: no 8BITMIME (RFC 6152)",
    "the body begins without an empty line before it",
    "mbox line at the beginning dropped",
    # What is wrong with a file in the failed store.
    "is a symbolic link",
    "is not a file",
    "belongs to another user",
    "is not a kept message",
    "was written by a later version of ssmtp",
    "has a head that this version cannot read",
    "has lost its envelope",
    "has a strange time line",
)
