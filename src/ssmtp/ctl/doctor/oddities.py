"""What is strange about user and password: the suspects when a login is refused.

The sentences never show the password. A user is looked at only once he was refused.
"""

from __future__ import annotations

from ssmtp.ctl.words import _

BLANK = " \t\u00a0"
QUOTES = "\"'"
CURLY = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
MARK = "\ufeff"  # what some editors write before all else
GROUP = 4  # letters; Google shows an app password in four such groups
APP_PASSWORD = 16
GOOGLE = (".gmail.com", ".google.com", ".googlemail.com")
KEYS = ("authpass=", "authpass:", "password=", "password:", "pass=", "pass:")


def of_password(secret: str, hosts: list[str], written: object) -> list[str]:
    """Return what is strange about a password; `written`: it stands in ssmtp.conf."""
    found = []
    google = any(f".{host.lower()}".endswith(GOOGLE) for host in hosts)
    groups = secret.replace("\u00a0", " ").split(" ")
    four = [GROUP] * GROUP == [len(group) for group in groups]
    if secret and secret[0] in BLANK:
        found.append(_("The password begins with a blank."))
    if secret and secret[-1] in BLANK:
        found.append(_("The password ends with a blank."))
    if secret and (secret[0] in QUOTES or secret[-1] in QUOTES):
        found.append(_("The password begins or ends with a quote, which is sent, too."))
    if four and not google:
        found.append(
            _(
                "The password has blanks between four groups, as Google shows its app"
                " passwords; for this mailhub the blanks are sent."
            )
        )
    elif not four and not found and any(char in BLANK for char in secret):
        found.append(_("The password has a blank in it, which is sent, too."))
    found += _letters(secret)
    if google and secret and not _is_app_password(secret) and written is not None:
        found.append(
            _("The password does not look like an app password of Google (16 letters).")
        )
    return found


def _letters(secret: str) -> list[str]:
    """Return what an editor, a form or a habit has put there."""
    if secret.startswith(MARK):
        text = _("The password begins with a byte order mark, which an editor wrote.")
    elif secret[:1] and (secret[0] in CURLY or secret[-1] in CURLY):
        text = _("The password begins or ends with a curly quote, which is sent, too.")
    elif secret.lower().startswith(KEYS):
        text = _(
            "The password begins with the name of a key, as a line of ssmtp.conf does;"
            " nothing but the password belongs there."
        )
    elif not secret.isascii():
        text = _("The password has letters outside of ASCII; mailhubs differ.")
    else:
        return []
    return [text]


def _is_app_password(secret: str) -> bool:
    plain = secret.replace(" ", "")
    return len(plain) == APP_PASSWORD and plain.isascii() and plain.isalnum()


def of_user(user: str) -> list[str]:
    """Return what is strange about the user of a refused login."""
    if any(char in BLANK for char in user):
        return [_("AuthUser {user} has a blank in it.").format(user=user)]
    if any(char in "<>,;" + QUOTES + CURLY for char in user):
        text = _("AuthUser {user} has a sign in it that belongs to no user name.")
        return [text.format(user=user)]
    if "@" not in user:
        text = _("AuthUser {user} is no whole address, which most mailhubs want.")
        return [text.format(user=user)]
    return []
