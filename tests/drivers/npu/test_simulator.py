"""Registers over AXI4-Lite, counters, faults of the bus, soft reset: what a driver sees of the overlay."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.npu import isa
from drivers.npu import registers as reg
from drivers.npu.description import read_description
from drivers.npu.rtl import NpuError, Rtl
from drivers.npu.simulator import DdrTiming, Simulator
from testbed.errors import BoardError

pytestmark = pytest.mark.timeout(500)  # the first of them builds the simulator

DESCRIBED = read_description()
LONG = isa.AvgPool(source=0, target=0, height=100, width=100, groups=1, multiplier=1, shift=1, tag=7)
"""A command that keeps compute busy for 10,000 cycles."""


def test_identity_and_capabilities(rtl):
    read = rtl.simulator.read
    sizes = DESCRIBED.parameters
    assert (read(reg.ID), read(reg.VERSION)) == (reg.ID_VALUE, DESCRIBED.version)
    assert read(reg.CAPS0) == sizes.rows | sizes.lanes << 8 | sizes.act_words // 1024 << 16
    assert read(reg.CAPS1) == sizes.wgt_words | sizes.par_channels << 16


def test_registers_hold_what_is_written(rtl):
    offsets = [
        register.offset + 4 * word
        for register in DESCRIBED.registers
        if register.access == "rw" and register.name != "CONTROL"
        for word in range(register.words)
    ]
    rng = np.random.default_rng(3)
    values = {offset: int(rng.integers(1 << 32)) for offset in offsets}
    for offset, value in values.items():
        rtl.simulator.write(offset, value)
    assert {offset: rtl.simulator.read(offset) for offset in offsets} == values


def test_read_only_registers_stay_and_gaps_read_zero(rtl):
    for offset in (reg.ID, reg.CAPS0, reg.CYCLES_LO):
        before = rtl.simulator.read(offset)
        rtl.simulator.write(offset, 0xDEAD_BEEF)
        assert rtl.simulator.read(offset) == before
    assert rtl.simulator.read(0x0F0) == 0


def test_a_part_of_a_word_cannot_be_written(rtl):
    with pytest.raises(BoardError, match="response 2"):
        rtl.simulator.write(reg.WATCHDOG, 5, strobes=0b0011)
    assert rtl.simulator.read(reg.WATCHDOG) == 0


def test_done_is_cleared_by_writing_it_and_the_interrupt_follows(rtl):
    rtl.simulator.write(reg.CONTROL, reg.CONTROL_IRQ_ENABLE)
    rtl.execute(b"", [isa.End(exit=2)])
    assert not rtl.simulator.interrupt  # START was written without IRQ_ENABLE
    rtl.simulator.write(reg.CONTROL, reg.CONTROL_IRQ_ENABLE)
    assert rtl.simulator.interrupt
    assert rtl.simulator.read(reg.STATUS) == reg.STATUS_DONE
    assert rtl.simulator.read(reg.EXIT) == 2
    rtl.simulator.write(reg.STATUS, reg.STATUS_DONE)
    assert not rtl.simulator.interrupt
    assert rtl.simulator.read(reg.STATUS) == 0


def test_counters(rtl):
    conv = isa.Conv(
        source=0, target=8192, weights=0, channel=0, in_height=8, in_width=8, out_height=8, out_width=8, in_groups=2,
        out_groups=1, kernel=3, pad_top=1, pad_left=1,
    )  # fmt: skip
    rtl.execute(b"", [conv, isa.End()])
    counted = rtl.counters
    assert counted.busy_mac == 8 * 8 * 2 * 9
    assert counted.commands == 2
    assert counted.busy_mac < counted.cycles < counted.busy_mac + 250
    assert counted.stall_axi < counted.cycles - counted.busy_mac


def test_polling_ends(rtl):
    program = rtl.simulator.arena.allocate(128)
    raw = LONG.encode() + isa.End().encode()
    rtl.simulator.arena.view(program, 128)[:] = np.frombuffer(raw, np.uint8)
    target = rtl.simulator.arena.allocate(128)
    rtl.start(program, 0, 2, target, target)
    polls = 0
    while rtl.simulator.read(reg.STATUS) & reg.STATUS_BUSY:
        polls += 1
        assert polls < 1000
    assert polls > 50
    assert rtl.simulator.read(reg.STATUS) == reg.STATUS_DONE
    rtl.simulator.arena.free(program)
    rtl.simulator.arena.free(target)


def test_the_watchdog_ends_a_run_that_takes_too_long(rtl):
    rtl.simulator.write(reg.WATCHDOG, 5000)
    with pytest.raises(NpuError) as caught:
        rtl.execute(b"", [LONG, isa.End(tag=8)])
    assert caught.value.code == 5
    assert rtl.simulator.read64(reg.CYCLES_LO) == 5001
    rtl.simulator.write(reg.WATCHDOG, 20_000)
    rtl.execute(b"", [LONG, isa.End()])


def test_a_read_that_the_memory_refuses(rtl):
    arena = rtl.simulator.arena
    # First fit: what is given back now is where the image will lie, with the commands behind it.
    address = arena.allocate(1024 + 128)
    arena.free(address)
    rtl.simulator.bus_error(address, 64, writes=False)
    load = isa.Load(memory=isa.Memory.ACT, offset=0, address=0, length=1024, tag=44)
    with pytest.raises(NpuError) as caught:
        rtl.execute(bytes(1024), [load, isa.End()])
    assert (caught.value.code, caught.value.tag, caught.value.response) == (3, 44, 2)
    rtl.simulator.heal()
    rtl.execute(bytes(1024), [load, isa.End()])


def test_a_write_that_the_memory_refuses(rtl):
    rtl.simulator.bus_error(rtl.simulator.arena.base, rtl.simulator.memory.size, reads=False)
    with pytest.raises(NpuError) as caught:
        rtl.execute(b"", [isa.End(tag=45)])
    assert (caught.value.code, caught.value.response) == (4, 2)
    rtl.simulator.heal()
    rtl.execute(b"", [isa.End()])


def test_an_address_where_nothing_is(rtl):
    with pytest.raises(NpuError) as caught:
        rtl.execute(b"", [isa.Load(memory=0, offset=0xA000_0000, address=0, length=64, tag=3), isa.End()])
    assert (caught.value.code, caught.value.tag, caught.value.response) == (3, 3, 3)


@pytest.mark.parametrize("after", [3, 30, 60, 75, 90, 200])
def test_a_hang_ends_by_watchdog_and_a_soft_reset_once_the_memory_answers(rtl, after):
    rtl.simulator.write(reg.WATCHDOG, 4000)
    rtl.simulator.write(reg.WEIGHTS_VALID, 1)
    image = rtl.simulator.arena.allocate(8192)
    load = isa.Load(memory=isa.Memory.ACT, offset=192, address=0, length=4096, tag=1)
    raw = load.encode() + isa.Store(offset=128, address=0, length=2048).encode() + isa.End().encode()
    rtl.simulator.arena.view(image, len(raw))[:] = np.frombuffer(raw, np.uint8)
    target = rtl.simulator.arena.allocate(8192)
    rtl.start(image, 0, 3, target, target)
    rtl.simulator.step(after)
    rtl.simulator.hang()
    with pytest.raises(NpuError) as caught:
        rtl.wait(target, most_cycles=10_000)
    assert caught.value.code == 5
    # Bursts are still out: a soft reset waits for them, and says so by BUSY.
    assert not rtl.soft_reset()
    rtl.simulator.heal()
    assert rtl.simulator.run(10_000)
    assert rtl.simulator.read(reg.STATUS) == 0
    assert rtl.simulator.read(reg.WEIGHTS_VALID) == 0
    rtl.start(image, 0, 3, target, target)
    assert rtl.wait(target).exit == 0
    rtl.simulator.arena.free(image)
    rtl.simulator.arena.free(target)


@pytest.mark.parametrize("after", [1, 10, 47, 100, 333, 1000])
def test_a_soft_reset_at_any_time(rtl, after):
    rtl.simulator.write(reg.OUTPUT_BASE, rtl.simulator.arena.base)
    image = rtl.simulator.arena.allocate(8192)
    commands = [
        isa.Load(memory=isa.Memory.ACT, offset=0, address=0, length=4096),
        isa.MaxPool(source=0, target=4096, height=16, width=16, groups=2, wait_dma=True),
        isa.Store(offset=0, address=4096, length=1024, wait_compute=True),
        isa.End(exit=1),
    ]
    raw = isa.encode_list(commands)
    rtl.simulator.arena.view(image, len(raw))[:] = np.frombuffer(raw, np.uint8)
    target = rtl.simulator.arena.allocate(4096)
    rtl.start(image, 0, 4, target, target)
    rtl.simulator.step(after)
    assert rtl.soft_reset()
    assert rtl.simulator.read(reg.STATUS) == 0
    assert rtl.simulator.read64(reg.CYCLES_LO) == 0
    rtl.start(image, 0, 4, target, target)
    assert rtl.wait(target).exit == 1
    rtl.simulator.arena.free(image)
    rtl.simulator.arena.free(target)


def test_bursts_keep_the_rules_at_every_alignment(rtl):
    """Lengths and offsets around the 4 KiB boundary; the fixture asks for violations afterwards."""
    image = bytes(range(256)) * 40
    for offset in (0, 8, 3960, 4088):
        for length in (8, 120, 128, 136, 4096):
            commands = [
                isa.Load(memory=0, offset=offset, address=5, length=length),
                isa.Store(offset=offset + 128, address=5, length=length),
                isa.End(),
            ]
            _, out = rtl.execute(image, commands, output_bytes=9000)
            assert out[offset + 128 : offset + 128 + length] == image[offset : offset + length]


@pytest.mark.parametrize(
    ("register", "step"),
    [(reg.PROGRAM_BASE, 32), (reg.COMMANDS_OFFSET, 8), (reg.INPUT_BASE, 32), (reg.OUTPUT_BASE, 64)],
)
def test_a_base_that_is_not_aligned_is_refused(rtl, register, step):
    base = rtl.simulator.arena.base
    for offset, value in (
        (reg.PROGRAM_BASE, base), (reg.INPUT_BASE, base), (reg.OUTPUT_BASE, base), (reg.PROGRAM_COMMANDS, 1),
    ):  # fmt: skip
        rtl.simulator.write(offset, value)
    rtl.simulator.write(register, rtl.simulator.read(register) + step)
    rtl.simulator.write(reg.CONTROL, reg.CONTROL_START)
    with pytest.raises(NpuError) as caught:
        rtl.wait(base)
    assert caught.value.code == 2


@pytest.mark.usefixtures("rtl")  # skips where there is no simulator
def test_slow_memory_changes_cycles_and_nothing_else():
    with Simulator(timing=DdrTiming(read_latency=200, write_latency=90, beats_per_1024=300)) as slow:
        rtl = Rtl(slow)
        commands = [
            isa.Load(memory=0, offset=0, address=0, length=2048),
            isa.Store(offset=128, address=0, length=2048),
            isa.End(),
        ]
        image = np.random.default_rng(0).bytes(2048)
        assert rtl.execute(image, commands, output_bytes=2176)[1][128:] == image
        # 512 beats at 300 in 1,024 cycles.
        assert rtl.counters.cycles > 512 * 1024 / 300
        assert slow.violations == 0


def test_recorded_commands(rtl):
    rtl.simulator.record()
    rtl.execute(b"", [LONG, isa.End(tag=9)])
    spans = rtl.simulator.recorded()
    rtl.simulator.record(on=False)
    assert [(span.tag, span.opcode) for span in spans] == [(7, isa.AvgPool.OPCODE), (9, isa.End.OPCODE)]
    assert 10_000 < spans[0].end - spans[0].start < 10_050
    assert spans[1].start >= spans[0].end
