"""labgrid's SSHDriver: `run` of a command that prints as many bytes as asked for, since `run` takes no input."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from labgrid import Target  # type: ignore[import-not-found]
from labgrid.driver import SSHDriver  # type: ignore[import-not-found]
from labgrid.resource import NetworkService  # type: ignore[import-not-found]


def main() -> None:
    """Answer each ``[size, n]``."""
    login = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as home:
        # labgrid has no setting for a known_hosts file, so a wrapper hands ours to the ssh that it finds on PATH.
        ssh = Path(home, "ssh")
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/env PATH="$REAL_PATH" ssh -F "{home}/config" "$@"\n')
        ssh.chmod(0o700)
        Path(home, "config").write_text(f"UserKnownHostsFile {login['known_hosts']}\n")
        os.environ["REAL_PATH"] = os.environ["PATH"]
        os.environ["PATH"] = f"{home}:{os.environ['PATH']}"
        target = Target("bench")
        NetworkService(target, name=None, address=login["host"], username=login["user"], port=login["port"])
        driver = SSHDriver(target, name=None, keyfile=login["identity"])
        target.activate(driver)
        for line in sys.stdin:
            size, n = json.loads(line)
            took = []
            for _ in range(n):
                begun = time.monotonic_ns()
                out, _err, code = driver.run(f"head -c {size} /dev/zero | tr '\\0' a")
                took.append(time.monotonic_ns() - begun)
                if code or len("".join(out)) != size:
                    raise RuntimeError(f"run gave status {code}")
            print(json.dumps(took), flush=True)
        target.deactivate(driver)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - told to the benchmark, which leaves the row out
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
