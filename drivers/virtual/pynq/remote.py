"""A virtual board that speaks PYNQ.remote: a client's unchanged pynq loads overlays on it over gRPC.

    python -m drivers.virtual.pynq.remote 127.0.0.2 [--fault hung@2]

The client names it in ``PYNQ_REMOTE_DEVICES``. Source: the service definitions that pynq 4.0.0 ships; what its
``RemoteDevice`` asks is answered, the rest (GPIO, interrupts) is not implemented. gRPC without credentials: it listens
on loopback only.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import json
import sys
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from pynq.remote import buffer_pb2 as buffers
from pynq.remote import buffer_pb2_grpc, mmio_pb2_grpc, remote_device_pb2_grpc
from pynq.remote import mmio_pb2 as mmio
from pynq.remote import remote_device_pb2 as device

from drivers.virtual.pynq.fabric import fault_at
from drivers.virtual.pynq.processor import ProcessorRegisters
from drivers.virtual.pynq.simulated import fabric_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from drivers.virtual.pynq.fabric import Fabric
    from drivers.virtual.pynq.memory import ArenaBuffer

PORT = 7967
"""Of every PYNQ.remote board; the client offers no choice."""

_BASE = 0x43C0_0000
_MANAGER = "/sys/class/fpga_manager/fpga0"
_FIRMWARE = "/lib/firmware/"
_PIECE = 1 << 20


class RemoteBoard:
    """What the three services of one board share.

    Attributes:
        files: its file system as far as a client looks. loaded: firmware handed to the FPGA manager, in turn.
        turn: registers are reached one access at a time, as over a bus.
    """

    def __init__(self, fabric: Fabric, *, board: str = "Pynq-Z2", window: int = 0x1_0000) -> None:
        """Power up.

        Args:
            board: what it calls itself. window: size of the overlay's registers [bytes].
        """
        self.fabric = fabric
        self.turn = threading.Lock()
        self.numbers = itertools.count(1)
        self.loaded: list[str] = []
        self.files: dict[str, bytes] = {
            "/proc/version": b"Linux version 5.15.19-xilinx (virtual) armv7l\n",
            "/proc/device-tree/chosen/pynq_board": board.encode() + b"\0",
            f"{_MANAGER}/state": b"operating\n",
            f"{_MANAGER}/flags": b"0\n",
        }
        self._window = window
        self._processor = ProcessorRegisters()

    def load(self, firmware: str) -> None:
        """Configure the logic from a file in ``/lib/firmware``.

        Raises:
            FileNotFoundError: it is not there.
        """
        if _FIRMWARE + firmware not in self.files:
            raise FileNotFoundError(firmware)
        self.loaded.append(firmware)
        with self.turn:
            self.fabric.configure()

    def word(self, address: int) -> int:
        """A register by its physical address."""
        if _BASE <= address < _BASE + self._window:
            return self.fabric.read(address - _BASE)
        return self._processor.read(address)

    def put(self, address: int, value: int) -> None:
        """Set one."""
        if _BASE <= address < _BASE + self._window:
            self.fabric.write(address - _BASE, value)
        else:
            self._processor.write(address, value)


class RemoteFiles(remote_device_pb2_grpc.RemoteDeviceServicer):  # type: ignore[misc] # pynq has no types
    """Its files, and the FPGA manager behind some of them."""

    def __init__(self, board: RemoteBoard) -> None:
        """Serve a board."""
        self._board = board

    def existsfile(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Whether a file is there."""
        return device.ExistsFileResponse(exists=request.file_path in self._board.files)

    def readfile(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: ANN401
        """A file in pieces; a missing one is ended with NOT_FOUND."""
        data = self._board.files.get(request.file_path)
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no file {request.file_path}")
            return
        for begin in range(0, max(len(data), 1), _PIECE):
            yield device.ReadFileResponse(data=data[begin : begin + _PIECE])

    def writefile(self, pieces: Iterable[Any], context: Any) -> Any:  # noqa: ANN401
        """Take a file; firmware named to the FPGA manager is loaded, if it is there."""
        path, data = "", b""
        for piece in pieces:
            path, data = piece.file_path, data + piece.data
        self._board.files[path] = data
        if path == f"{_MANAGER}/firmware":
            try:
                self._board.load(data.decode("utf-8", "replace").strip())
            except FileNotFoundError as error:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no firmware {error}")
        return device.WriteFileResponse()

    def set_bitstream_attrs(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Noted by the real service; nothing to do here."""
        return device.SetBitstreamAttrsResponse(status=True)


class RemoteRegisters(mmio_pb2_grpc.MmioServicer):  # type: ignore[misc] # pynq has no types
    """Windows of registers."""

    def __init__(self, board: RemoteBoard) -> None:
        """Nothing is mapped."""
        self._board = board
        self._maps: dict[str, int] = {}

    def get_mmio(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Map a window."""
        number = str(next(self._board.numbers))
        self._maps[number] = request.base_addr
        return mmio.GetMmioResponse(status=True, mmio_id=number)

    def read(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """One word, or two."""
        address = self._maps[request.mmio_id] + request.offset
        with self._board.turn:
            words = [self._board.word(address + at) for at in range(0, max(request.length, 4), 4)]
        return mmio.ReadResponse(status=True, data=sum(word << 32 * i for i, word in enumerate(words)))

    def write(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Words, one after another."""
        address = self._maps[request.mmio_id] + request.offset
        with self._board.turn:
            for at in range(0, len(request.data), 4):
                self._board.put(address + at, int.from_bytes(request.data[at : at + 4], "little"))
        return mmio.WriteResponse(status=True)


class RemoteBuffers(buffer_pb2_grpc.RemoteBufferServicer):  # type: ignore[misc] # pynq has no types
    """Contiguous memory; what a client holds is a copy that it flushes and invalidates."""

    def __init__(self, board: RemoteBoard) -> None:
        """Nothing is allocated."""
        self._board = board
        self._buffers: dict[str, ArenaBuffer] = {}

    def allocate(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """A buffer, or why not."""
        try:
            buffer = self._board.fabric.arena.allocate(request.size)
        except MemoryError as error:
            return buffers.AllocateResponse(msg=str(error))
        number = str(next(self._board.numbers))
        self._buffers[number] = buffer
        return buffers.AllocateResponse(buffer_id=number)

    def read(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: ANN401
        """All of it, in pieces."""
        data = self._buffers[request.buffer_id].tobytes()
        for begin in range(0, len(data), _PIECE):
            yield buffers.BufferReadResponse(data=data[begin : begin + _PIECE])

    def write(self, pieces: Iterable[Any], context: Any) -> Any:  # noqa: ANN401
        """From its beginning on."""
        at = 0
        for piece in pieces:
            end = at + len(piece.data)
            self._buffers[piece.buffer_id][at:end] = memoryview(piece.data)
            at = end
        return buffers.BufferWriteResponse()

    def flush(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Memory and what the logic sees are one."""
        return buffers.FlushResponse()

    def invalidate(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """As `flush`."""
        return buffers.InvalidateResponse()

    def physical_address(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Where the logic finds a buffer."""
        return buffers.AddressResponse(address=self._buffers[request.buffer_id].device_address)

    def virtual_address(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """There is but one kind of address here."""
        return self.physical_address(request, context)

    def freebuffer(self, request: Any, context: Any) -> Any:  # noqa: ANN401
        """Give it back."""
        self._buffers.pop(request.buffer_id).freebuffer()
        return buffers.FreeBufferResponse()


def serve(board: RemoteBoard, address: str, port: int = PORT) -> Any:  # noqa: ANN401 - grpc has no types
    """Listen; the server that was started, to be stopped by the caller.

    Raises:
        ValueError: the address is not of the loopback.
        OSError: it is taken.
    """
    if not ipaddress.ip_address(address).is_loopback:
        raise ValueError(f"{address} is not of the loopback, and gRPC here has no credentials")
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=[("grpc.so_reuseport", 0)])
    remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(RemoteFiles(board), server)
    mmio_pb2_grpc.add_MmioServicer_to_server(RemoteRegisters(board), server)
    buffer_pb2_grpc.add_RemoteBufferServicer_to_server(RemoteBuffers(board), server)
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}:{port}: {error}") from error
    if not bound:
        raise OSError(f"cannot listen on {address}:{port}")
    server.start()
    return server


def main(argv: list[str]) -> int:
    """Serve until standard input ends; the first line out says where."""
    parser = argparse.ArgumentParser(prog="python -m drivers.virtual.pynq.remote")
    parser.add_argument("address")
    parser.add_argument("--answers", default="golden", choices=("golden", "rtl"))
    parser.add_argument("--fault", action="append", default=[], type=fault_at, metavar="FAULT@START")
    options = parser.parse_args(argv)
    server = serve(RemoteBoard(fabric_of(options.answers, dict(options.fault))), options.address)
    print(json.dumps({"address": options.address, "port": PORT}), flush=True)  # noqa: T201
    sys.stdin.read()
    server.stop(grace=0.5).wait(2.0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
