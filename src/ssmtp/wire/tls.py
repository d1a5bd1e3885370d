"""The one maker of TLS contexts, and the words for what goes wrong with TLS.

Whatever the configuration does not loosen by name is strict: TLS 1.2 or later with
forward secrecy and authenticated encryption, the chain and the name verified, names
taken from subjectAltName only (RFC 9525), no compression, no renegotiation.

The trust store is the system's hashed directory where there is one, because OpenSSL
then reads the one certificate that it needs, instead of parsing a whole bundle (25 ms).
The bundle in that directory is read as well if it was changed after the directory: so
does who appends to it by hand, past update-ca-certificates.
SSL_CERT_FILE and SSL_CERT_DIR take its place; TLS_CA_File and TLS_CA_Dir add to it.
Once they hold a list of revoked certificates, every certificate is looked up on one.

`VERIFY_X509_STRICT`, which `ssl.create_default_context` sets from Python 3.13 on, is
left off on every version: it refuses private CAs that lack a key usage, and tells
nothing about who the peer is.
"""

from __future__ import annotations

import posix

from ssmtp.environment import environ
from ssmtp.errors import ConfigError, NetworkTrouble, SiteTrouble
from ssmtp.smtp.reply import escaped
from ssmtp.smtp.steps import Secured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from ssl import SSLContext
    from typing import Any

    from ssmtp.config import Config
    from ssmtp.wire.channel import Channel

SYSTEM = "/etc/ssl/certs"
# For TLS 1.2; the suites of TLS 1.3 are all of this kind. Level 2 refuses RSA and DH
# below 2048 bits, and SHA-1 signatures.
SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"


def context(config: Config, wanted: bool) -> SSLContext:
    """Make the context for one connection; `wanted`: must the peer be verified?

    Raises `ConfigError` for files that cannot be used.
    """
    from ssmtp.wire import openssl as ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = (
        ssl.TLS_1_3 if str(config.tls_min_version).endswith("1.3") else ssl.TLS_1_2
    )
    made.set_ciphers(SUITES)
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    made.hostname_checks_common_name = False
    if not wanted or not config.tls_verify or config.tls_fingerprints:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.verify_flags = (
            ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
        )
        _trust(made, config)
        if made.cert_store_stats()["crl"] or _has_lists(config.tls_ca_dir):
            # OpenSSL does not fetch lists of revoked certificates (RFC 5280 §5), so
            # they count only where somebody has put one.
            made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if config.use_tls_cert:
        _present(made, config)
    return made


def _trust(made: SSLContext, config: Config) -> None:
    file = environ().get("SSL_CERT_FILE") or None
    directory = environ().get("SSL_CERT_DIR") or None
    if file is None and directory is None:
        from ssmtp.wire.openssl import default_directory

        for place in (SYSTEM, default_directory()):
            if _is_hashed(place):
                directory = place
                # By itself: when it is damaged the directory holds.
                _load(made, _changed_bundle(place), None, "")
                break
        else:
            made.load_default_certs()
    _load(made, file, directory, "")
    if config.tls_ca_file:
        _load(made, config.tls_ca_file, None, "TLS_CA_File=")
    if config.tls_ca_dir:
        if _is_hashed(config.tls_ca_dir):
            _load(made, None, config.tls_ca_dir, "TLS_CA_Dir=")
        else:
            _load_each(made, config.tls_ca_dir)


def _changed_bundle(directory: str) -> str | None:
    """Return the bundle in a directory if it has more than update-ca-certificates."""
    bundle = f"{directory}/ca-certificates.crt"
    try:
        # That one puts the bundle into place, which changes the directory.
        late = posix.stat(bundle).st_mtime > posix.stat(directory).st_mtime + 1
    except OSError:
        return None
    return bundle if late else None


def _load(made: SSLContext, file: str | None, directory: str | None, key: str) -> None:
    if file is None and directory is None:
        return
    try:
        made.load_verify_locations(file, directory)
    except OSError as error:
        if not key:
            return  # the environment is only a hint; without it, nothing is trusted
        raise ConfigError(
            f"{key}{file or directory} cannot be used: {_why(error)}",
            "it must hold certificates in PEM form",
        ) from error


def _load_each(made: SSLContext, directory: str) -> None:
    """Load a directory that nobody has run `openssl rehash` on."""
    try:
        names = sorted(posix.listdir(directory))
    except OSError as error:
        raise ConfigError(
            f"TLS_CA_Dir={directory} cannot be read: {error.strerror}",
            "name a directory of certificates",
        ) from error
    for name in names:
        if name.endswith((".pem", ".crt", ".cer", ".crl")):
            _load(made, f"{directory}/{name}", None, "TLS_CA_Dir: ")


def _is_hashed(directory: str, before: str = ".") -> bool:
    """Whether a directory has names as OpenSSL looks them up: 8 hex digits, dot, n."""
    try:
        names = posix.listdir(directory)
    except OSError:
        return False
    for name in names:
        number = name[8:].removeprefix(before)
        if number.isdigit() and number != name[8:]:
            if not name[:8].strip("0123456789abcdef"):
                return True
    return False


def _has_lists(directory: str | None) -> bool:
    """Whether a hashed directory has lists of revoked certificates."""
    return bool(directory) and _is_hashed(directory or "", ".r")


def _present(made: SSLContext, config: Config) -> None:
    def no_password() -> str:
        raise ValueError("the key is encrypted")

    from ssmtp.wire import openssl as ssl

    try:
        made.load_cert_chain(config.tls_cert, config.tls_key or None, no_password)
    except (OSError, ValueError, ssl.SSLError) as error:
        files = config.tls_cert
        if config.tls_key:
            files += f" with TLSKey={config.tls_key}"
        raise ConfigError(
            f"the client certificate TLSCert={files} cannot be used: {_why(error)}",
            "it must be readable PEM, with its key unencrypted beside it or in TLSKey",
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not hasattr(error, "reason"):
        return error.strerror
    return reason(error)


def reason(error: Exception) -> str:
    """Return OpenSSL's own word for an error, as words."""
    word = getattr(error, "reason", None)
    if not word:
        # Without one, its text ends with a line of the C module: (_ssl.c:3895)
        return escaped(str(error)).partition(" (_ssl.c")[0][:120]
    return str(word).lower().replace("_", " ")


def start(
    channel: Channel,
    made: SSLContext,
    config: Config,
    hub: str,
    host: str,
    wanted: bool,
    deadline: float,
) -> Generator[Any, Any, Secured]:
    """Set up TLS on a channel.

    `host` is the mailhub's name in ASCII. Raises `SiteTrouble` with words for people.
    """
    from ssmtp.wire import openssl as ssl
    from ssmtp.wire.cipher import Cipher

    cipher = Cipher(made, host.partition("%")[0].rstrip(".").encode("ascii"))
    try:
        yield from channel.handshake(cipher, deadline)
    except ssl.SSLCertVerificationError as error:
        raise _distrust(error, hub, host) from error
    except ssl.SSLError as error:
        raise _handshake(error, hub, cipher.first) from error
    session = cipher.session
    certificate = cipher.certificate

    def binding() -> bytes | None:
        from ssmtp.wire.certificate import end_point

        return end_point(certificate)

    pinned = wanted and bool(config.tls_fingerprints)
    if pinned:
        _check_pins(certificate, config, hub)
    suite = session.cipher()
    return Secured(
        session.version() or "TLS",
        suite[0] if suite else "?",
        pinned or made.verify_mode == ssl.CERT_REQUIRED,
        binding,
    )


def _check_pins(certificate: bytes, config: Config, hub: str) -> None:
    from hashlib import sha256

    from ssmtp.wire.certificate import public_key

    prints = [sha256(certificate).hexdigest()]
    key = public_key(certificate)
    if key is not None:
        prints.append(sha256(key).hexdigest())
    wanted = [p.replace(":", "").lower() for p in config.tls_fingerprints]
    if not any(p in wanted for p in prints):
        raise SiteTrouble(
            f"the certificate of {hub} is not the one that TLSFingerprint names "
            f"(it has {prints[0]})",
            "find out why it changed before you trust the new one",
        )


# The numbers of X509_V_ERR_* in OpenSSL's x509_vfy.h.
NO_LIST = "cannot be checked, for its issuer's list of revoked certificates"
DISTRUST = {
    3: (f"{NO_LIST} is missing", "add it to TLS_CA_File, or take the others out"),
    8: (f"{NO_LIST} is not genuine", "fetch it again for TLS_CA_File"),
    9: ("is not valid yet", "check the clock of this machine"),
    10: ("has expired", "tell its administrator (and check the clock of this machine)"),
    11: (f"{NO_LIST} is not valid yet", "check the clock of this machine"),
    12: (f"{NO_LIST} is out of date", "fetch a new one for TLS_CA_File"),
    18: (
        "is self-signed, so nobody vouches for it",
        "name it with TLS_CA_File, or pin it with TLSFingerprint",
    ),
    19: (
        "comes from a certification authority that is not trusted here",
        "name the authority's certificate with TLS_CA_File",
    ),
    20: (
        "has an issuer that is not trusted here, or came without its intermediate",
        "name the issuer's certificate with TLS_CA_File, or have the mailhub send it",
    ),
    21: (
        "has an issuer that is not trusted here, or came without its intermediate",
        "name the issuer's certificate with TLS_CA_File, or have the mailhub send it",
    ),
    23: ("was revoked", "tell its administrator"),
    24: ("was issued by what is no certification authority", "ask its administrator"),
    26: ("is not made for servers", "ask its administrator"),
    66: ("has a key that is too weak", "ask its administrator"),
    67: ("has an issuer with a key that is too weak", "ask its administrator"),
    68: ("has a signature that is too weak", "ask its administrator"),
}


def _distrust(error: Any, hub: str, host: str) -> SiteTrouble:
    code = error.verify_code
    shown = escaped(host)
    if code in (62, 63, 64):
        words = f"is not for {shown}"
        step = "let Mailhub have the name that the certificate has"
    elif code in DISTRUST:
        words, step = DISTRUST[code]
    else:
        words = f"cannot be verified: {escaped(str(error.verify_message))}"
        step = "ask its administrator"
    if code == 9:
        import time

        step += time.strftime(", which says %Y-%m-%d")
    return SiteTrouble(f"the certificate of {hub} {words}", step)


def _handshake(error: Any, hub: str, first: bytes) -> SiteTrouble:
    """Say why TLS could not be set up; `first` is what the mailhub sent first."""
    why = reason(error)
    if first[:1] in b"2345" and first[1:3].isdigit() and first[:1]:
        return SiteTrouble(
            f"{hub} speaks plain SMTP where TLS was to begin "
            f"({escaped(first.split(bytes([13]))[0][:60])!r})",
            "set UseSTARTTLS=Yes as well, or use port 465",
        )
    if first[:5] == b"HTTP/" or first[:4] == b"SSH-":
        return SiteTrouble(
            f"{hub} speaks {first[:4].decode().strip('-/')}, not TLS",
            "check host and port of Mailhub",
        )
    if "protocol version" in why or "unsupported protocol" in why:
        return SiteTrouble(
            f"{hub} does not speak a version of TLS that can be accepted ({why})",
            "it needs TLS 1.2 or later (see TLSMinVersion)",
        )
    if "alert handshake failure" in why or "insufficient security" in why:
        return SiteTrouble(
            f"{hub} shares no cipher suite with us ({why})",
            "it needs TLS 1.2 or later with forward secrecy, or it wants a client "
            "certificate (UseTLSCert)",
        )
    if "certificate required" in why or "alert bad certificate" in why:
        return SiteTrouble(
            f"{hub} wants a client certificate ({why})", "set UseTLSCert and TLSCert"
        )
    if "eof" in why:
        return NetworkTrouble(
            f"{hub} closed the connection while setting up TLS",
            "check that this port speaks TLS, or try again later",
        )
    return SiteTrouble(
        f"TLS with {hub} failed: {why}", "check that this port speaks TLS"
    )
