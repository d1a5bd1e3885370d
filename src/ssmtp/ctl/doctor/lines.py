"""The lines of the configuration, each for itself, so that all mistakes are told."""

from __future__ import annotations

from ssmtp import config as configuration
from ssmtp.config import KEYS, Config, Key
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _
from ssmtp.errors import EX_CONFIG, ConfigError

LINES_MOST = 2000  # each is looked at by itself up to here
# How a line is written whose value is of a kind.
SAMPLES = {
    "mailhub": "smtp.example.org:587",
    "port": "587",
    "uid": "1000",
    "domain": "example.org",
    "field": "X-Origin: backup",
    "yes or no": "yes",
    "version": "1.2",
    "mechanism": "PLAIN",
    "seconds": "30",
    "IP address": "192.0.2.1",
    "proxy": "socks5://127.0.0.1:1080",
    "command": "pass show mail",
}
# Words with which lines begin in what is no file of ours.
FOREIGN = {
    "msmtp": ("defaults", "account", "host", "tls_trust_file", "auth"),
    "HTML": ("<!doctype", "<html", "<html>"),
}


def parsed(report: Report, case: Case, home: str | None) -> Config | None:
    """Parse what can be understood, and tell of each line that cannot."""
    if _foreign(report, case):
        case.faulty = True
        return None
    _encoding(report, case)
    lines = case.text.split(b"\n")
    # Whoever saved it as UTF-16 is told so once.
    if len(lines) <= LINES_MOST and b"\0" not in case.text:
        for at, line in enumerate(lines):
            try:
                configuration.parse(b"\n" * at + line, case.path, home)
            except ConfigError as failure:
                case.faulty = True
                lines[at] = b""
                _line(report, failure, at + 1, line)
    try:
        found = configuration.parse(b"\n".join(lines), case.path, home)
    except ConfigError as failure:
        if not case.faulty:
            report.failed("config.line", failure)
        case.faulty = True
        return None
    return found


def _line(report: Report, failure: ConfigError, number: int, raw: bytes) -> None:
    """Tell of one line; the value is not shown, for it may be a secret."""
    step = failure.next_step
    name, equals, _value = raw.decode("utf-8", "replace").partition("=")
    words = name.replace(":", " ").split()
    key = _known(words[0]) if words else None
    if key is not None and not equals:
        step = _("write {key}=value").format(key=key.name)
    elif key is not None and key.kind in SAMPLES:
        step = _("correct the line, such as {key}={sample}, or take it out")
        step = step.format(key=key.name, sample=SAMPLES[key.kind])
    report.error("config.line", failure.what, step, failure.exit_code, line=number)


def _known(name: str) -> Key | None:
    return next((key for key in KEYS if key.name.lower() == name.lower()), None)


def _foreign(report: Report, case: Case) -> bool:
    """Tell of a file that is none of ours; one sentence will do for it."""
    start = case.text[:4096].lstrip(b"\xef\xbb\xbf")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return False
    if case.text and not case.text.strip(b"\0\r\n\t "):
        if b"\0" not in case.text:
            return False
        report.error(
            "config.kind",
            _("{path} holds nothing but NULs, as after a crash of the machine.").format(
                path=case.path
            ),
            _("bring it back from a backup, or type: ssmtpctl setup"),
            EX_CONFIG,
        )
        return True
    lines = start.decode("utf-8", "replace").lower().split("\n")
    firsts = [line.split()[0] for line in lines if line.split() and "=" not in line]
    for program, words in FOREIGN.items():
        several = {word for word in firsts if word in words}
        if len(several) > (1 if program == "msmtp" else 0):
            text = _("{path} is no configuration of ssmtp: it looks like {kind}.")
            step = _("write one with ssmtpctl setup")
            if program == "msmtp":
                step = _("type: ssmtpctl migrate msmtp --from {path}")
            report.error(
                "config.kind",
                text.format(path=case.path, kind=program),
                step.format(path=case.path),
                EX_CONFIG,
            )
            return True
    return False


def _encoding(report: Report, case: Case) -> None:
    """Warn of the first line that is not UTF-8, which the rest is read as."""
    for number, line in enumerate(case.text.split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            if case.text[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return
            if line.lstrip()[:1] == b"#":
                continue
            report.warn(
                "config.encoding",
                _("{path}, line {number} is not written in UTF-8.").format(
                    path=case.path, number=number
                ),
                _("save the file as UTF-8"),
                line=number,
            )
            return
