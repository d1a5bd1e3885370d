"""What the configuration says, where it says so, and the traps that lie in it."""

from __future__ import annotations

from typing import Any

from ssmtp import accounts
from ssmtp.config import KEYS, LISTS, Config, Key, Mailhub, tls_mode, uncommented
from ssmtp.ctl.doctor.case import Case
from ssmtp.ctl.doctor.files import keys_told
from ssmtp.ctl.doctor.findings import Report
from ssmtp.ctl.words import _
from ssmtp.errors import EX_CONFIG
from ssmtp.smtp.reply import DOTS
from ssmtp.values import BLANKS, Secret

NOT_FOR_MAIL = (993, 995, 143, 110, 80, 443)  # IMAP, POP3, the web
# What a reader wants to know of even when no line sets it.
TELLING = ("hostname", "rewrite_domain", "root", "from_line_override", "delivery")


def check(report: Report, case: Case) -> None:
    """Tell every value and its origin, then what is strange about them."""
    config = case.config
    if config is None:
        return
    lines = origins(case.text)
    if not lines:
        if not case.faulty:
            report.error(
                "config.empty",
                _("{path} is empty: no line of it sets anything.").format(
                    path=case.path
                ),
                _("ssmtpctl setup"),
                EX_CONFIG,
            )
        return
    rows = [_row(config, key, lines) for key in KEYS]
    shown = [row for row in rows if row["lines"] or row["attribute"] in TELLING]
    width = max(len(row["key"]) for row in shown)
    report.ok(
        "config.values",
        keys_told(sum(map(len, lines.values()))),
        [f"{row['key']:<{width}}  {row['value']}  ({row['from']})" for row in shown],
        values=[{name: row[name] for name in ("key", "value", "from")} for row in rows],
    )
    for note in config.notes:
        report.note("config.note", f"{note}.")
    _traps(report, config)
    _twice(report, case, lines)
    for number in lines.get("auth_pass", ())[-1:]:
        _comment(report, case, number)


def _comment(report: Report, case: Case, number: int) -> None:
    """Warn of a password that may have lost its end to a comment."""
    raw = case.text.split(b"\n")[number - 1].decode("utf-8", "replace")
    if uncommented(raw) != raw:
        text = _("In line {number} a # behind a blank ends the password.")
        text = text.format(number=number)
        case.oddities.append(text)
        step = _("put the password into quotes, if the # belongs to it")
        report.warn("trap.comment", text, step)


def _twice(report: Report, case: Case, lines: dict[str, list[int]]) -> None:
    """Warn of keys that stand there with several values, of which one counts."""
    written = case.text.split(b"\n")
    for key in KEYS:
        at = lines.get(key.attribute, [])
        values = {written[number - 1].partition(b"=")[2].strip() for number in at}
        if key.kind in LISTS or len(values) < 2:
            continue
        text = _("{key} stands in lines {lines}, and the last one counts.").format(
            key=key.name, lines=", ".join(map(str, at))
        )
        if key.attribute.startswith("auth_"):
            case.oddities.append(text)
        step = _("take the others out, so that all can see which one holds")
        report.warn("trap.twice", text, step, lines=at)


def origins(text: bytes) -> dict[str, list[int]]:
    """Return the lines that name a known key, by its attribute."""
    known = {key.name.lower(): key.attribute for key in KEYS}
    found: dict[str, list[int]] = {}
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = uncommented(raw.decode("utf-8", "replace").lstrip("\ufeff"))
        name, equals, _value = line.partition("=")
        attribute = known.get(name.strip(BLANKS).lower())
        if equals and attribute is not None:
            found.setdefault(attribute, []).append(number)
    return found


def place(case: Case, hub: Mailhub) -> str:
    """Say where a mailhub is written: in the configuration, or in revaliases."""
    text, config, account = _("{path}, line {line}"), case.config, case.account
    own = account is None or config is None or hub in config.mailhubs
    if not own and case.site is not None:
        login = case.request.caller.login
        written = [r for r in case.site.revaliases if r.login == login and r.mailhub]
        return text.format(path=written[-1].path, line=written[-1].line)
    at = origins(case.text).get("mailhubs", [])
    hubs = config.mailhubs if config is not None else []
    # Fewer mailhubs than lines: one is there twice, or blank.
    if len(at) != len(hubs) or hub not in hubs:
        return case.path
    return text.format(path=case.path, line=at[hubs.index(hub)])


def _row(config: Config, key: Key, lines: dict[str, list[int]]) -> dict[str, Any]:
    at = lines.get(key.attribute, [])
    if key.kind not in LISTS:
        at = at[-1:]  # the last one counts
    numbers = ", ".join(map(str, at))
    return {
        "key": key.name,
        "attribute": key.attribute,
        "value": shown(getattr(config, key.attribute), key.kind),
        "lines": at,
        "from": _("line {number}").format(number=numbers) if at else _("default"),
    }


def shown(value: Any, kind: str) -> str:
    """Write a value for a person; what may be a secret is not written."""
    if value is None or value == []:
        return _("not set")
    if isinstance(value, Secret) or kind == "secret":
        return DOTS if value else ""
    if kind == "command":
        # Its words may hold a password.
        return " ".join([str(value[0]), DOTS][: len(value)])
    if kind == "field":
        return ", ".join(f"{text.partition(':')[0]}: {DOTS}" for _line, text in value)
    if isinstance(value, bool):
        return "yes" if value else "no"  # as it is written in the file
    if isinstance(value, list | tuple):
        return ", ".join(_one(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _one(part: Any) -> str:
    if isinstance(part, list | tuple):
        return ":".join(map(_one, part))
    return f"{part:g}" if isinstance(part, float) else str(part)


def _traps(report: Report, config: Config) -> None:
    for hub in config.mailhubs:
        if config.use_starttls and hub.port == 465:
            report.warn(
                "trap.465-starttls",
                _(
                    "UseSTARTTLS stands beside port 465, where {hub} speaks TLS from"
                    " the first octet: it is taken to mean that."
                ).format(hub=hub),
                _("take UseSTARTTLS out; port 465 needs no key for TLS"),
            )
        if hub.port == 587 and tls_mode(config, hub) == "none":
            report.warn(
                "trap.587-clear",
                _("UseTLS=no on port 587: mail goes to {hub} in clear.").format(
                    hub=hub
                ),
                _("take UseTLS out; port 587 then means STARTTLS"),
            )
        if hub.port == 587 and config.use_tls and not config.use_starttls:
            report.warn(
                "trap.587-tls",
                _(
                    "UseTLS=yes alone means TLS from the first octet, and port 587 of"
                    " {hub} mostly begins in clear."
                ).format(hub=hub),
                _("add UseSTARTTLS=yes, or take UseTLS out"),
            )
        if hub.port in NOT_FOR_MAIL:
            report.warn(
                "trap.port",
                _("Port {port} of {host} is not one for sending mail.").format(
                    port=hub.port, host=hub.host
                ),
                _("set Mailhub={host}:465 or Mailhub={host}:587").format(host=hub.host),
            )
        if (hub.host, hub.port) in config.listen_loopback:
            report.error(
                "trap.loop",
                _("Mailhub {hub} is where the agent itself listens.").format(hub=hub),
                _("let Mailhub name the mailhub, and ListenLoopback another port"),
            )
    if not config.tls_verify:
        report.warn(
            "trap.unverified",
            _("TLSVerify=no: anybody on the way can read the mail."),
            _("take it out; TLS_CA_File or TLSFingerprint can say whom to trust"),
        )
    _hostname(report, config)


def _hostname(report: Report, config: Config) -> None:
    """Look at the name that mailhubs and addresses get to see."""
    host = accounts.host(config)
    if accounts.ehlo_name(config) is not None:
        return
    named = bool(config.hostname)
    where = _("Hostname={name}") if named else _("The name of this machine, {name},")
    if "_" in host:
        what = _("{where} holds an underscore, which no host name may.")
    else:
        what = _("{where} is no full name: mailhubs are told our address instead.")
    text = what.format(where=where.format(name=host))
    step = _("set Hostname to a full name, such as {name}.example.org")
    step = step.format(name=host.replace("_", "-").partition(".")[0])
    if config.rewrite_domain or "." in host:
        report.note("trap.hostname", text, step)
        return
    report.warn(
        "trap.hostname",
        _("{text} Addresses of local users end in @{host}, too.").format(
            text=text, host=host
        ),
        _("{step}, and RewriteDomain to the domain of your mail").format(step=step),
    )
