"""Nothing phones home: no engine looks up the name of a host, here and in the embedded server.

A library that is loaded before all others writes every name that is looked up to a file.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smlm_pipeline.model_repository import find_model_repository, network_file

LOGGED = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *name) {
  const char *file = getenv("LOOKED_UP");
  int fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
  if (fd < 0 || !name) return;
  char line[300];
  strncpy(line, name, 298);
  line[298] = 0;
  strcat(line, "\\n");
  if (write(fd, line, strlen(line)) < 0) abort();
  close(fd);
}

#define NEXT(name) typeof(name) *next = dlsym(RTLD_NEXT, #name)

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  NEXT(getaddrinfo);
  note(node);
  return next(node, service, hints, found);
}
int getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event) {
  NEXT(getaddrinfo_a);
  for (int i = 0; i < count; ++i) note(list[i] ? list[i]->ar_name : 0);
  return next(mode, list, count, event);
}
struct hostent *gethostbyname(const char *name) {
  NEXT(gethostbyname);
  note(name);
  return next(name);
}
struct hostent *gethostbyname2(const char *name, int family) {
  NEXT(gethostbyname2);
  note(name);
  return next(name, family);
}
int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t length,
                    struct hostent **found, int *error) {
  NEXT(gethostbyname_r);
  note(name);
  return next(name, entry, buffer, length, found, error);
}
int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *buffer,
                     size_t length, struct hostent **found, int *error) {
  NEXT(gethostbyname2_r);
  note(name);
  return next(name, family, entry, buffer, length, found, error);
}
int res_query(const char *name, int class, int type, unsigned char *answer, int length) {
  int (*next)(const char *, int, int, unsigned char *, int) = dlsym(RTLD_NEXT, "res_query");
  note(name);
  return next ? next(name, class, type, answer, length) : -1;
}
int res_search(const char *name, int class, int type, unsigned char *answer, int length) {
  int (*next)(const char *, int, int, unsigned char *, int) = dlsym(RTLD_NEXT, "res_search");
  note(name);
  return next ? next(name, class, type, answer, length) : -1;
}
"""
"""Of glibc's functions that look up a host, all that programs call."""

LOOPBACK = {"127.0.0.1", "localhost", "::1", "0.0.0.0"}  # noqa: S104 - names that need no network

ENGINES = (
    "import sys, time, onnxruntime, openvino; openvino.Core().available_devices; "
    "session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']); "
    "time.sleep(12)"
)
"""What both engines do when they run a network."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, or no Linux, to log the names that are looked up")
    folder = tmp_path_factory.mktemp("library")
    source, built = folder / "logged.c", folder / "logged.so"
    source.write_text(LOGGED)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True, timeout=60
    )
    return built


def _environment(library: Path, file: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    return {**kept, "LD_PRELOAD": str(library), "LOOKED_UP": str(file)}


def _looked_up(file: Path) -> set[str]:
    return set(file.read_text().split()) - LOOPBACK if file.exists() else set()


def _run(library: Path, file: Path, *command: str | Path) -> set[str]:
    subprocess.run(
        [sys.executable, *command],
        env=_environment(library, file),
        check=True,
        capture_output=True,
        timeout=200,
    )
    return _looked_up(file)


RECON_CLIENT = ("-c", "from smlm_pipeline.cli.app import app; app()")


def test_the_library_sees_a_name(library: Path, tmp_path: Path) -> None:
    """Or the tests below would pass of themselves."""
    look = "import socket\ntry: socket.getaddrinfo('host.invalid', 1)\nexcept OSError: pass"
    assert _run(library, tmp_path / "names", "-c", look) == {"host.invalid"}


def test_engines_after_any_of_the_packages(library: Path, tmp_path: Path) -> None:
    """Twelve seconds each, at once: ONNX Runtime 1.32 looks a name up after 6 to 9 seconds."""
    network = network_file(find_model_repository(), "unet")
    started = {
        package: subprocess.Popen(
            [sys.executable, "-c", f"import {package}; {ENGINES}", network],
            env=_environment(library, tmp_path / package),
        )
        for package in ("smlm_pipeline", "smlm_training", "smlm_bench")
    }
    for package, process in started.items():
        assert process.wait(120) == 0
        assert _looked_up(tmp_path / package) == set()


def test_submit_in_this_process(library: Path, tmp_path: Path, film_file: Path) -> None:
    names = tmp_path / "names"
    image = tmp_path / "image.ome.tif"
    submit = (*RECON_CLIENT, "submit", film_file, "-o", image, "--engine", "local")
    assert _run(library, names, *submit) == set()
    assert image.exists()


@pytest.mark.triton
def test_submit_through_the_embedded_server(
    library: Path, tmp_path: Path, film_file: Path, small_repository: Path
) -> None:
    names, image = tmp_path / "names", tmp_path / "image.ome.tif"
    submit = (*RECON_CLIENT, "submit", film_file, "-o", image)
    assert _run(library, names, *submit, "--model-repository", small_repository) == set()
    assert image.exists()


@pytest.mark.triton
def test_serve(library: Path, tmp_path: Path, film_file: Path, small_repository: Path) -> None:
    """It answers a film and lives on for a while: a library may look a name up later."""
    names, image = tmp_path / "names", tmp_path / "image.ome.tif"
    submit = (*RECON_CLIENT, "submit", film_file, "-o", image, "--server", "127.0.0.1:18941")
    serve = (*RECON_CLIENT, "serve", "--port", "18941", "--model-repository", small_repository)
    with subprocess.Popen(
        [sys.executable, *map(str, serve)],
        env=_environment(library, names),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serving reconstruction at ")
            assert process.stdout.readline().startswith("unet in ")
            assert _run(library, tmp_path / "by client", *submit) == set()
            assert image.exists()
            time.sleep(10)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert _looked_up(names) == set()
