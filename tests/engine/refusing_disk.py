"""A disk that refuses some calls of a process: a library in C that LD_PRELOAD puts in front of the system's."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file named by REFUSED has lines "call errno first last text": calls first..last with a path that has the text. */
static int counts[64];

static int refused(const char *call, const char *path) {
    char name[32], text[256];
    int number, first, last, result = 0;
    const char *rules = getenv("REFUSED");
    FILE *file = rules ? fopen(rules, "r") : NULL;
    if (!file) return 0;
    for (int i = 0; i < 64 && fscanf(file, "%31s %d %d %d %255s", name, &number, &first, &last, text) == 5; i++)
        if (!strcmp(name, call) && strstr(path, text)) {
            counts[i]++;
            if (counts[i] >= first && counts[i] <= last) result = number;
        }
    fclose(file);
    return result;
}

static int refused_fd(const char *call, int fd) {
    char link[64], path[PATH_MAX] = "";
    struct stat status;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 2);
    if (length < 0) return 0;
    path[length] = 0;
    if (!fstat(fd, &status) && S_ISDIR(status.st_mode)) strcat(path, "/");
    return refused(call, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(expression) do { int e = (expression); if (e) { errno = e; return -1; } } while (0)

int fsync(int fd) { REFUSE(refused_fd("fsync", fd)); return NEXT(fsync)(fd); }
ssize_t write(int fd, const void *data, size_t size) {
    REFUSE(refused_fd("write", fd));
    return NEXT(write)(fd, data, size);
}
int rename(const char *from, const char *to) { REFUSE(refused("rename", from)); return NEXT(rename)(from, to); }
int unlink(const char *path) {
    if (refused("nfs", path)) {  /* Another process has the file open, so NFS keeps it under another name. */
        char kept[PATH_MAX];
        snprintf(kept, sizeof kept, "%s", path);
        snprintf(strrchr(kept, '/'), 16, "/.nfs0001");
        return NEXT(rename)(path, kept);
    }
    REFUSE(refused("unlink", path));
    return NEXT(unlink)(path);
}
"""


def library(folder: Path) -> Path:
    """The compiled library. Without a compiler, the test is skipped."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    source, target = folder / "refusing.c", folder / "refusing.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", target, source, "-ldl"], check=True)
    return target


def environment(folder: Path, *rules: tuple[str, int, int, int, str]) -> dict[str, str]:
    """Variables of a process in which calls are refused: name, errno, the first and the last one, part of the path.

    A path of a folder that is synced ends with a slash.
    """
    file = folder / "refused"
    file.write_text("".join(f"{call} {number} {first} {last} {text}\n" for call, number, first, last, text in rules))
    return {"LD_PRELOAD": str(library(folder)), "REFUSED": str(file)}


ALWAYS = (1, 10**6)
NFS = errno.EBUSY
