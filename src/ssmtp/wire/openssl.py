"""OpenSSL for tls.py and cipher.py: `_ssl`, the module that `ssl` is made of.

Importing `ssl` takes 50 million instructions, for `re`, `enum`, `socket` and names that
nobody here wants; `_ssl` alone takes 9, and all our own modules 30. The checking of
certificates and names is done by OpenSSL in either case. The names below mean what
they mean in `ssl`, as far as they go. But `_ssl` promises nothing, so where it lacks
something that is wanted here, the public module takes its place.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl as library
    from ssl import SSLContext as SSLContext
    from ssl import SSLObject as SSLObject
    from ssl import TLSVersion

    TLS_1_2, TLS_1_3 = TLSVersion.TLSv1_2, TLSVersion.TLSv1_3
else:
    TLS_1_2, TLS_1_3 = 0x0303, 0x0304  # RFC 8446 section 4.2.1
    try:
        import _ssl as library

        class SSLContext(library._SSLContext):
            """The public class in small, with nothing of its own."""

            __slots__ = ()
            _host_flags = library._SSLContext._host_flags
            _wrap_bio = library._SSLContext._wrap_bio
            load_default_certs = library._SSLContext.set_default_verify_paths

            @property
            def hostname_checks_common_name(self) -> bool:
                return not self._host_flags & library.HOSTFLAG_NEVER_CHECK_SUBJECT

            @hostname_checks_common_name.setter
            def hostname_checks_common_name(self, value: bool) -> None:
                self._host_flags &= ~library.HOSTFLAG_NEVER_CHECK_SUBJECT
                if not value:
                    self._host_flags |= library.HOSTFLAG_NEVER_CHECK_SUBJECT

            def wrap_bio(self, incoming, outgoing, *, server_hostname):
                name = server_hostname.decode("ascii")
                return SSLObject(
                    self._wrap_bio(
                        incoming, outgoing, server_side=False, server_hostname=name
                    )
                )

        class SSLObject:
            """The public class in small, around what `_ssl` made."""

            __slots__ = ("_made", "cipher", "do_handshake", "read", "version", "write")

            def __init__(self, made) -> None:
                self._made = made
                self.cipher = made.cipher
                self.do_handshake = made.do_handshake
                self.read = made.read
                self.version = made.version
                self.write = made.write

            def getpeercert(self, binary_form: bool = False):
                return self._made.getpeercert(binary_form)

            def unwrap(self):
                return self._made.shutdown()

    except (ImportError, AttributeError):
        import ssl as library
        from ssl import SSLContext as SSLContext
        from ssl import SSLObject

CERT_NONE = library.CERT_NONE
CERT_REQUIRED = library.CERT_REQUIRED
OP_NO_COMPRESSION = library.OP_NO_COMPRESSION
OP_NO_RENEGOTIATION = library.OP_NO_RENEGOTIATION
PROTOCOL_TLS_CLIENT = library.PROTOCOL_TLS_CLIENT
VERIFY_CRL_CHECK_LEAF = library.VERIFY_CRL_CHECK_LEAF
VERIFY_X509_PARTIAL_CHAIN = library.VERIFY_X509_PARTIAL_CHAIN
VERIFY_X509_TRUSTED_FIRST = library.VERIFY_X509_TRUSTED_FIRST
MemoryBIO = library.MemoryBIO
SSLCertVerificationError = library.SSLCertVerificationError
SSLError = library.SSLError
SSLWantReadError = library.SSLWantReadError
SSLZeroReturnError = library.SSLZeroReturnError


def default_directory() -> str:
    """Return where OpenSSL itself looks for a hashed directory."""
    return str(library.get_default_verify_paths()[-1])
