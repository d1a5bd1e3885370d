"""Where the password comes from: the command line, the configuration or elsewhere.

Whether there is anything to authenticate with is settled before a connection is made,
so that a forgotten password costs no round trip. The password itself is fetched when
AUTH is about to start, and once only: a command may ask a person, or unlock a key.

Nothing that was fetched appears in a failure: a command is named by its program, and of
what it wrote only the last line of its standard error is quoted.
"""

from __future__ import annotations

from ssmtp.errors import AuthRefused, ConfigError, UsageError
from ssmtp.smtp.sasl import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ssmtp.config import Config, Mailhub, Secret
    from ssmtp.options import Options

_SOURCES = "set AuthPass, AuthPassFile, AuthPassCommand or AuthPassCredential"


def from_config(
    config: Config, options: Options, mailhubs: Iterable[Mailhub] | None = None
) -> Credentials | None:
    """Return what to authenticate with, or None when nothing asks for AUTH.

    Options win over the configuration. `mailhubs` are those that will be tried, if not
    the configured ones. Raises `AuthRefused` for a user without any password,
    `ConfigError` for contradictions.
    """
    user = options.auth_user if options.auth_user is not None else config.auth_user
    method = options.auth_method or config.auth_method
    method = method.upper() if method else None
    external = method == "EXTERNAL"
    google = any(_is_google(hub.host) for hub in mailhubs or config.mailhubs)
    fetch = _source(config, options, google)
    if not user and not external:
        if options.auth_user is not None:
            raise UsageError(
                "-au names an empty user", "name the user, or leave it out"
            )
        if config.auth_user is not None and fetch is not None:
            raise ConfigError(
                f"{config.path}: AuthUser is empty, though there is a password",
                "name the user, or take both out",
            )
        return None
    if fetch is None and not external:
        raise AuthRefused("AuthUser is set, but there is no password", _SOURCES)
    return Credentials(
        user or "",
        _Once(fetch or _nothing),
        method,
        bool(config.use_old_auth),
        bool(config.allow_cleartext_auth),
    )


class _Once:
    """Fetch a secret at the first call, and remember it."""

    __slots__ = ("_fetch", "_secret")

    def __init__(self, fetch: Callable[[], Secret]) -> None:
        self._fetch = fetch
        self._secret: Secret | None = None

    def __call__(self) -> Secret:
        if self._secret is None:
            from ssmtp import guard

            guard.no_core()
            self._secret = self._fetch()
        return self._secret


def _source(
    config: Config, options: Options, google: bool
) -> Callable[[], Secret] | None:
    """Find the one place that holds the password."""
    given = options.auth_pass
    if given is not None and given.reveal():
        return lambda: given
    sources: list[tuple[str, Callable[[], str]]] = []
    plain = config.auth_pass
    if plain is not None and plain.reveal():
        sources.append(("AuthPass", plain.reveal))
    if config.auth_pass_file or config.auth_pass_credential:
        from ssmtp.credentials import file
    if config.auth_pass_file:
        path = file.absolute(config.auth_pass_file, config.path)
        sources.append(("AuthPassFile", lambda: file.read(path)))
    if config.auth_pass_command:
        command = config.auth_pass_command
        sources.append(("AuthPassCommand", lambda: _run(command)))
    if config.auth_pass_credential:
        name = config.auth_pass_credential
        sources.append(("AuthPassCredential", lambda: file.credential(name)))
    if len(sources) > 1:
        names = " and ".join(name for name, _ in sources)
        raise ConfigError(f"{config.path}: {names} are all set", "keep one of them")
    if not sources:
        return None
    fetch = sources[0][1]
    return lambda: _secret(_app_password(fetch()) if google else fetch())


def _run(command: list[str]) -> str:
    from ssmtp.credentials import command as passcommand

    return passcommand.read(command)


def _nothing() -> Secret:
    return _secret("")


def _secret(text: str) -> Secret:
    from ssmtp.config import Secret

    return Secret(text)


def _app_password(text: str) -> str:
    """Take the blanks out of an app password as Google shows it.

    Google prints `abcd efgh ijkl mnop`; the blanks are there for reading. For any
    other mailhub, and in any other form, a password stays exactly as it is written.
    """
    groups = text.replace("\xa0", " ").split(" ")
    if len(groups) == 4 and all(
        len(group) == 4 and group.isascii() and group.isalpha() for group in groups
    ):
        return "".join(groups)
    return text


def _is_google(host: str | None) -> bool:
    name = (host or "").lower().rstrip(".")
    return name.endswith((".gmail.com", ".google.com", ".googlemail.com"))
