"""Python in a process of its own: for what must not happen to the process that runs the tests."""

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GONE_S = 10.0  # what an end may take on a busy machine
PRELUDE = """
import json, os, sys
from pathlib import Path
from adapters.log_sqlite import SqliteLog
from domain import errors
from tests.adapters.puts import *
"""


def argv(source: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", PRELUDE + source, *map(str, arguments)]


def start(source: str, *arguments: object, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv(source, *arguments),
        cwd=ROOT,
        env=_env(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(source: str, *arguments: object, wrapper: tuple[str, ...] = (), **env: str) -> str:
    """What a child printed; it must have ended well."""
    done = subprocess.run(
        [*wrapper, *argv(source, *arguments)],
        cwd=ROOT,
        env=_env(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _env(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Notes every sync with the path of its file in $SYNC_TRACE; from the $SYNC_FAIL-th sync of the WAL on,
   $SYNC_FAILURES of them report an I/O error after they were done. */
static int seen = 0;
static int traced(int fd, const char *name) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 2);
    if (size < 0) size = 0;
    path[size] = '\n';
    const char *trace = getenv("SYNC_TRACE");
    if (trace) {
        int out = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (out >= 0) { ssize_t ignored = write(out, path, size + 1); (void)ignored; close(out); }
    }
    path[size] = 0;
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (getenv("SYNC_FAIL") && size > 4 && !strcmp(path + size - 4, "-wal")) {
        int first = atoi(getenv("SYNC_FAIL")), count = atoi(getenv("SYNC_FAILURES"));
        seen++;
        if (seen >= first && seen < first + count) { errno = EIO; return -1; }
    }
    return result;
}
int fsync(int fd) { return traced(fd, "fsync"); }
int fdatasync(int fd) { return traced(fd, "fdatasync"); }
"""


def shim(folder: Path) -> str:
    """A library that watches over fsync and fdatasync, for LD_PRELOAD."""
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "these tests need a C compiler"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return str(library)


def is_gone(pid: int) -> bool:
    """Whether a process ends by itself or has ended; a zombie that nobody collected has, too."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], GONE_S)[0])
    finally:
        os.close(descriptor)
