"""Plugs into other people's frameworks; each is a thin end of `ssmtp.send`."""
