"""apache-tvm's RPC over TCP on loopback, without SSH: a byte array to the device and back, as its uploads do."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tvm  # type: ignore[import-not-found]
from tvm import rpc


def main() -> None:
    """Answer each ``[size, n]``."""
    server = rpc.Server(host="127.0.0.1", port=9190, port_end=9290, silent=True)
    try:
        session = rpc.connect("127.0.0.1", server.port)
        device = session.cpu(0)
        for line in sys.stdin:
            size, n = json.loads(line)
            payload = np.arange(size, dtype=np.uint8)
            array = tvm.runtime.empty((size,), "uint8", device)
            took = []
            for _ in range(n):
                begun = time.monotonic_ns()
                array.copyfrom(payload)
                back = array.numpy()
                took.append(time.monotonic_ns() - begun)
                if back[-1] != payload[-1]:
                    raise RuntimeError("other bytes came back")
            print(json.dumps(took), flush=True)
    finally:
        server.terminate()


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - told to the benchmark, which leaves the row out
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
