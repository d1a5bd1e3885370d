"""Fuzz the targets, each for a given time; show what was found and how to see it again.

    python -m tests.fuzz.run                        every target for a minute
    python -m tests.fuzz.run --seconds 600 address  one of them, longer
    python -m tests.fuzz.run address FILE...        look at what was found

Atheris drives the targets where it is installed (extra `fuzz`), else a mutator of ours
does; both are given a seed. What makes a target fail is written to build/fuzz/TARGET.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOUND = ROOT / "build" / "fuzz"
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("[a-z]*.py"))
HANG = 20  # seconds for one input

Target = Callable[[bytes], None]


def target(name: str) -> Target:
    """Return the function that takes one input, and fails when it finds something."""
    run: Target = importlib.import_module(f"tests.fuzz.targets.{name}").run
    return run


def examples(name: str) -> list[bytes]:
    """Return the inputs in the repository, in the order of their names."""
    return [path.read_bytes() for path in sorted((HERE / "corpus" / name).iterdir())]


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("words", nargs="*", metavar="TARGET [FILE...]")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=0, help="for each target, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--engine", choices=("auto", "atheris", "python"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [word for word in options.words if word in TARGETS]
    files = [word for word in options.words if word not in TARGETS]
    if files:
        return look(names, files)
    if options.here:
        return fuzz(names[0], options)
    return everything(names or TARGETS, options)


def look(names: list[str], files: list[str]) -> int:
    """Run inputs that were found, with tracebacks."""
    if len(names) != 1:
        sys.exit(f"name one target: {' '.join(TARGETS)}")
    for file in files:
        target(names[0])(Path(file).read_bytes())
        print(f"{names[0]} {file}: nothing wrong")
    return 0


def everything(names: list[str], options: argparse.Namespace) -> int:
    """Fuzz targets in processes of their own, some at a time."""
    engine = options.engine or "auto"
    if engine == "auto":
        found = importlib.util.find_spec("atheris")
        engine = "atheris" if found is not None else "python"

    def one(name: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        words = [sys.executable, "-m", "tests.fuzz.run", "--here", name]
        for option in ("seconds", "runs", "seed"):
            words.append(f"--{option}={getattr(options, option)}")
        words.append(f"--engine={engine}")
        done = subprocess.run(
            words,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return name, done

    failed = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, done in pool.map(one, names):
            lines = done.stdout.splitlines()
            if done.returncode:
                failed.append(name)
                print("\n".join(lines[-40:]))
            print(f"fuzz {name:12} {_summary(lines)}", flush=True)
    if failed:
        print(f"failed: {' '.join(failed)}; the inputs are in {FOUND}")
        print("to see one again: python -m tests.fuzz.run TARGET FILE")
        print("once it is mended, keep it as tests/fuzz/corpus/TARGET/WHAT-IT-SHOWS")
    return 1 if failed else 0


def _summary(lines: list[str]) -> str:
    facts = [line for line in lines if line.startswith(("stat::number", "Done "))]
    return (facts or lines or [""])[-1].replace("stat::", "")


def fuzz(name: str, options: argparse.Namespace) -> int:
    """Fuzz one target in this process."""
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    if options.engine == "atheris":
        _with_atheris(name, options)
    return _with_mutator(name, options)


def _with_atheris(name: str, options: argparse.Namespace) -> NoReturn:
    import atheris

    with atheris.instrument_imports(include=["ssmtp"]):
        run = target(name)
    made = FOUND / name / "made"
    made.mkdir(exist_ok=True)
    words = [
        name,
        f"-max_total_time={options.seconds}",
        f"-runs={options.runs or -1}",
        f"-seed={options.seed}",
        f"-timeout={HANG}",
        "-max_len=70000",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FOUND / name}/",
        str(made),
        str(HERE / "corpus" / name),
    ]
    atheris.Setup(words, run)
    atheris.Fuzz()
    raise AssertionError("atheris ends the process")


def _with_mutator(name: str, options: argparse.Namespace) -> int:
    from tests.fuzz import mutate

    def late(*_: Any) -> NoReturn:
        raise AssertionError(f"one input took {HANG} s")

    signal.signal(signal.SIGALRM, late)
    run = target(name)
    end = time.monotonic() + options.seconds
    count = 0
    for data in mutate.inputs(examples(name), options.seed):
        if count % 100 == 0 and time.monotonic() >= end:
            break
        if options.runs and count >= options.runs:
            break
        signal.alarm(HANG)
        try:
            run(data)
        except BaseException:
            path = FOUND / name / f"crash-{hashlib.sha1(data).hexdigest()}"
            path.write_bytes(data)
            print(f"{path} after {count} runs")
            raise
        count += 1
    signal.alarm(0)
    rate = count / (options.seconds or 1)
    print(f"Done {count} runs, {rate:.0f} a second, without atheris")
    return 0


if __name__ == "__main__":
    sys.exit(main())
