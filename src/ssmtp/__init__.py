"""Submit mail from this machine to its mailhub (RFC 6409)."""

__version__ = "3.0.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssmtp.api import send as send
    from ssmtp.api import send_async as send_async
    from ssmtp.errors import AuthRefused as AuthRefused
    from ssmtp.errors import Bug as Bug
    from ssmtp.errors import ConfigError as ConfigError
    from ssmtp.errors import Deferred as Deferred
    from ssmtp.errors import Failure as Failure
    from ssmtp.errors import InDoubt as InDoubt
    from ssmtp.errors import InputRefused as InputRefused
    from ssmtp.errors import InputUnreadable as InputUnreadable
    from ssmtp.errors import MailhubRefused as MailhubRefused
    from ssmtp.errors import MessageRefused as MessageRefused
    from ssmtp.errors import NetworkTrouble as NetworkTrouble
    from ssmtp.errors import RecipientRefused as RecipientRefused
    from ssmtp.errors import SiteTrouble as SiteTrouble
    from ssmtp.errors import SystemTrouble as SystemTrouble
    from ssmtp.errors import UnknownHost as UnknownHost
    from ssmtp.errors import UsageError as UsageError
    from ssmtp.receipt import Receipt as Receipt

__all__ = [
    "AuthRefused",
    "Bug",
    "ConfigError",
    "Deferred",
    "Failure",
    "InDoubt",
    "InputRefused",
    "InputUnreadable",
    "MailhubRefused",
    "MessageRefused",
    "NetworkTrouble",
    "Receipt",
    "RecipientRefused",
    "SiteTrouble",
    "SystemTrouble",
    "UnknownHost",
    "UsageError",
    "__version__",
    "send",
    "send_async",
]

if not TYPE_CHECKING:  # who checks types knows the names from above

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used (PEP 562).

        The commands import this package too, and have no use for most of it.
        """
        if name not in __all__:
            raise AttributeError(f"module 'ssmtp' has no attribute {name!r}")
        homes = {"send": "api", "send_async": "api", "Receipt": "receipt"}
        module = __import__(f"ssmtp.{homes.get(name, 'errors')}", fromlist=[name])
        value = globals()[name] = getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
