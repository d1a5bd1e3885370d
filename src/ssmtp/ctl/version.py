"""`ssmtpctl version`: what is running here, in the words that a bug report needs."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import ssl
import sys
from typing import Any

from ssmtp import __version__, extras
from ssmtp.ctl.words import _, marked

OPTIONAL = ("idna", "rich", "dns", "oauthlib", "keyring")
NAMES = {
    "ssmtp": "ssmtp",
    "python": "python",
    "tls": "tls",
    "system": marked("system"),
    "code": marked("code"),
}

EXAMPLES = """\
Examples:
  ssmtpctl version         all of it, for a person
  ssmtpctl version --json  the same for a program
"""


def add(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "version",
        help=_("print the version, and what it runs on"),
        examples=EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help=_("for programs"))


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    facts = {
        "ssmtp": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "tls": ssl.OPENSSL_VERSION,
        "system": f"{platform.system()} {platform.release()}",
        "code": os.path.realpath(os.path.dirname(os.path.dirname(__file__))),
    }
    found = {name: _version(name) for name in OPTIONAL}
    if getattr(args, "json", False):
        print(json.dumps({**facts, "extras": found}, indent=2))
    elif getattr(args, "verb", None) is None:
        print(f"ssmtp {__version__}")
    else:
        there = [f"{name} {text}" for name, text in found.items() if text]
        for name, fact in facts.items():
            print(f"{_(NAMES[name]):<8}{fact}")
        print(f"{_('extras'):<8}{', '.join(there) or _('none')}")
    return 0


def _version(name: str) -> str | None:
    """Return the version of an optional library, or None when it is not there."""
    if extras.optional(name) is None:
        return None
    try:
        return importlib.metadata.version("dnspython" if name == "dns" else name)
    except importlib.metadata.PackageNotFoundError:
        return _("of unknown version")
