"""The benchmark: our `bin/sendmail` beside other programs that submit mail.

`make bench` runs it; `docs/performance.md` is what it writes.
"""
