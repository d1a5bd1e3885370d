"""Submit mail from this machine to its mailhub (RFC 6409)."""

__version__ = "3.0.0"
