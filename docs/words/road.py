"""What the road of a message may say to a person: sentences, and forms of sentences.

The road says everything in English and knows no gettext. Its sentences are read from
its source, so that the catalogues have them, too: an f-string becomes a form such as
"{hub} is not ready: {reply}", in which `ssmtp.ctl.retold` finds the values again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Who has something to say that ssmtpctl shows: why a message cannot be sent.
MODULES = (
    "accounts", "address", "addresslist", "agent/answers", "agent/status",
    "agent/verbs", "agentvalues", "attachment", "compose",
    "config", "configfile", "credentials/__init__", "credentials/command",
    "credentials/file", "direct", "envelope", "handoff", "message", "values",
    "smtp/authenticate", "smtp/dialogue", "smtp/outcomes", "smtp/sasl",
    "smtp/saslprep", "smtp/verdicts", "spool/entry", "spool/failed",
    "spool/recovery", "spool/space", "submission", "wire/blocking", "wire/channel",
    "wire/connect", "wire/proxy", "wire/tls",
)  # fmt: skip
# Full of texts for the manual, but for what is wrong with a command line.
OPTIONS = "options"
# What only goes to the log, to programmers, or onto the wire.
CALLS = (
    "Bug",
    "TypeError",
    "AttributeError",
    "RuntimeError",
    "log",
    "note",
    "strftime",
)
SILENT = (
    "recipient argument",
    "an Address never changes",
    "a secret does not leave the process",
    "kept message {id}",
    "sha256 fingerprint=",
    "undisclosed-recipients:;",
    "queued as ",
    "not logged: {what}",
    "auto, direct or agent",
    "share or size",
    "yes or no",
    # Kinds of file systems, and what OpenSSL calls its troubles.
    (
        "9p afs beegfs ceph cifs coda gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 "
        "orangefs pvfs2 smb2 smb3 smbfs"
    ),
    # What programs say to each other.
    "XLIST takes nothing, or all",
    "(ssmtpctl queue hold)",
    "protocol version",
    "unsupported protocol",
    "alert handshake failure",
    "insufficient security",
    "certificate required",
    "alert bad certificate",
)
JOINTS = "; ,"  # what a piece of a sentence may begin with
# Where something stands, and what becomes of a message that was kept.
MORE = (
    "{path}, line {line}",
    "{path}: line {line}",
    "which says {day}",
    "internal error: {kind}",
    "the file {damage}",
    "--help shows the options",
    "did you mean {option}? --help shows the options",
    "the subject is a line of the message: Subject: ...",
    "please report it",
    "nothing can be written into {folder}",
    "{folder} was replaced while the agent ran",
    "start it again",
    "the configuration is wrong",
    "{mistake} (what held before still holds)",
    "takes no message now",
    "there are more than {number} recipients",
    "send the message in several parts",
    "{sentence} [kept as {kept}; to send it again: ssmtpctl queue retry {id}]",
)
# Of the system, which says them in English whatever the locale.
SYSTEM = (
    "Address already in use", "Broken pipe", "Cannot assign requested address",
    "Connection refused", "Connection reset by peer", "Connection timed out",
    "Disk quota exceeded", "File exists", "File name too long", "Is a directory",
    "Name or service not known", "Network is unreachable",
    "No address associated with hostname", "No route to host",
    "No such file or directory", "No space left on device", "Not a directory",
    "Operation not permitted", "Permission denied", "Read-only file system",
    "Temporary failure in name resolution", "Too many levels of symbolic links",
    "Too many open files",
)  # fmt: skip
WORD = re.compile("[a-z]{2,}")
HOLE = re.compile(r"\{\w+\}")


def sentences(package: Path) -> Iterator[tuple[str, int, str]]:
    """Yield what the road says, with module and line, each text once."""
    known = set(MORE)
    for module in (*MODULES, OPTIONS):
        tree = ast.parse((package / f"{module}.py").read_bytes())
        found = _mistakes(tree) if module == OPTIONS else _texts(tree)
        for line, text in sorted(found):
            text = text.lstrip(JOINTS)
            if text not in known and _speaks(text):
                known.add(text)
                yield f"{module}.py", line, text
    yield from (("", 0, text) for text in (*MORE, *SYSTEM))


def _speaks(text: str) -> bool:
    words = WORD.findall(HOLE.sub("", text))
    form = "{" in text and any(len(word) > 5 for word in words)
    spoken = " " in text and (form or len(words) > 1)
    return spoken and text[:1] != "<" and text not in SILENT


def _mistakes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "UsageError":
            yield from _texts(node)


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.Call) and _name(node.func) in CALLS:
            continue
        if isinstance(node, ast.JoinedStr):
            if (form := _form(node)) is not None:
                yield node.lineno, form
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        else:
            yield from _texts(node)


def _form(text: ast.JoinedStr) -> str | None:
    """Return an f-string with names in its holes; None if it has braces of its own."""
    form, names = "", dict.fromkeys(("",), 0)
    for piece in text.values:
        if isinstance(piece, ast.Constant):
            form += str(piece.value)
        elif isinstance(piece, ast.FormattedValue):
            name = _name(piece.value).strip("_").lower() or "value"
            names[name] = names.get(name, 0) + 1
            form += f"{{{name}{names[name] if names[name] > 1 else ''}}}"
    return form if len(HOLE.findall(form)) == form.count("{") else None


def _name(value: ast.expr) -> str:
    """Return what a value is called, for a translator to know what it is."""
    if isinstance(value, ast.Name):
        return value.id
    if isinstance(value, ast.Attribute):
        return value.attr
    if isinstance(value, ast.Call) and value.args:
        return _name(value.args[0])
    if isinstance(value, ast.Subscript | ast.Starred):
        return _name(value.value)
    return ""
