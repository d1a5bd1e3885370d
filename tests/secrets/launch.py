"""Run a command with its system log in a file, and with a bug if one is wanted.

Called as: python -IS launch.py SRC LOG WHERE WHAT program argument...

WHERE is `module:name` or `module:Class.name`, or a dash; what stands there is replaced
by something that raises an exception with the text WHAT, as a mistake of ours would.
"""

import sys

_, source, log, where, what, *words = sys.argv
sys.argv = words
sys.orig_argv = [sys.executable, *words]
sys.path.insert(0, source)

import syslog  # noqa: E402


def to_file(priority: int, line: str) -> None:
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{priority} {line}\n")


syslog.syslog = to_file  # type: ignore[assignment]

if words[0].endswith("ssmtpctl"):
    from ssmtp.ctl import main
else:
    from ssmtp.sendmail import main


def mistake(*_: object, **__: object) -> None:
    raise RuntimeError(what)


if where != "-":
    module, _, name = where.partition(":")
    owner = __import__(module, fromlist=["_"])
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, mistake)

sys.exit(main())
