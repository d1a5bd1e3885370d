"""Run the program once for each of many cases, each in a process of its own.

Standard input is a JSON list of cases, and so is standard output: exit code and what
was said. Forking costs a fraction of starting an interpreter, and a case may have what
no command line can: a NUL, or a full name in the password database.

    python -IS many.py SRC < cases.json
"""

import json
import os
import pwd
import sys

sys.path.insert(0, sys.argv[1])

from ssmtp import delivery, sendmail  # noqa: F401  loaded once for all of them


def run(case: dict) -> int:
    """Be the program for one case."""
    gecos = case.get("gecos")
    if gecos is not None:
        real = pwd.getpwuid(os.getuid())
        entry = pwd.struct_passwd((*real[:4], gecos, *real[5:]))
        pwd.getpwuid = lambda uid: entry
    os.environ.clear()
    os.environ.update(case.get("env", {}))
    return sendmail.main(["/bin/sendmail", *case["argv"]])


def main() -> None:
    results = []
    for case in json.load(sys.stdin):
        read, write = os.pipe()
        text = os.memfd_create("text")
        os.write(text, case["text"].encode("utf-8", "surrogateescape"))
        os.lseek(text, 0, os.SEEK_SET)
        pid = os.fork()
        if pid == 0:
            os.dup2(text, 0)
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.closerange(3, 100)
            try:
                os._exit(run(case))
            except BaseException as error:
                os.write(2, f"escaped: {error!r}".encode("utf-8", "replace"))
            os._exit(255)
        os.close(write)
        os.close(text)
        said = b""
        while block := os.read(read, 65536):
            said += block
        os.close(read)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        results.append([code, said.decode("utf-8", "replace")])
    json.dump(results, sys.stdout)


main()
