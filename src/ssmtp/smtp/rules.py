"""What a server of ours offers to its clients, and demands of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXTENSIONS = (
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "SMTPUTF8",
    "CHUNKING",
    "DSN",
    "ENHANCEDSTATUSCODES",
)


class Rules:
    """What a listener offers and demands.

    `lenient` is for local callers: LF line ends, paths without `<>`. `bare_names` lets
    addresses without a domain through. `users` maps user names to passwords; AUTH is
    offered if there are any, without TLS only if `auth_in_clear`. `size_limit` is in
    octets, 0 for none. `nonce` makes fresh printable text; it is needed for AUTH only.
    `verbs` are further commands, which the driver answers.
    """

    __slots__ = (
        "auth_in_clear",
        "auth_required",
        "bare_names",
        "error_limit",
        "extensions",
        "greeting",
        "lenient",
        "mechanisms",
        "name",
        "nonce",
        "recipient_limit",
        "size_limit",
        "starttls",
        "users",
        "verbs",
    )

    def __init__(
        self,
        name: str,
        *,
        greeting: str = "ESMTP",
        extensions: tuple[str, ...] = EXTENSIONS,
        size_limit: int = 0,
        lenient: bool = False,
        bare_names: bool = False,
        starttls: bool = False,
        users: Mapping[str, str] | None = None,
        mechanisms: tuple[str, ...] = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"),
        auth_required: bool = False,
        auth_in_clear: bool = False,
        nonce: Callable[[], str] | None = None,
        recipient_limit: int = 10_000,
        error_limit: int = 20,
        verbs: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.greeting = greeting
        self.extensions = extensions
        self.size_limit = size_limit
        self.lenient = lenient
        self.bare_names = bare_names
        self.starttls = starttls
        self.users = users or {}
        self.mechanisms = mechanisms
        self.auth_required = auth_required
        self.auth_in_clear = auth_in_clear
        self.nonce = nonce
        self.recipient_limit = recipient_limit
        self.error_limit = error_limit
        self.verbs = verbs
