"""`python -m ssmtp` is `ssmtpctl`, the command for people."""

import sys

from ssmtp.ctl import main

if __name__ == "__main__":
    sys.exit(main())
