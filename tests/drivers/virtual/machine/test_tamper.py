from __future__ import annotations

from drivers.virtual.machine.tamper import Tamper


def test_nothing_happens_unasked() -> None:
    tamper = Tamper(seed=1)
    assert tamper.apply(b"abc") == b"abc"
    assert tamper.silence_s == 0
    assert not tamper.noisy


def test_noise_comes_once_in_front_and_is_seeded() -> None:
    one, two, other = Tamper(seed=1), Tamper(seed=1), Tamper(seed=2)
    for tamper in (one, two, other):
        tamper.inject(8)
    got = one.apply(b"abc")
    assert got.endswith(b"abc")
    assert len(got) == 11
    assert got == two.apply(b"abc")
    assert got != other.apply(b"abc")
    assert one.apply(b"abc") == b"abc"


def test_exactly_so_many_bytes_are_damaged_each_in_one_bit() -> None:
    tamper = Tamper(seed=3)
    tamper.flip(3)
    sent = bytes(range(100))
    got = tamper.apply(sent[:2]) + tamper.apply(sent[2:])
    differing = [a ^ b for a, b in zip(sent, got, strict=True) if a != b]
    assert len(differing) == 3
    assert all(bits.bit_count() == 1 for bits in differing)


def test_silence_ends_by_itself() -> None:
    now = [10.0]
    tamper = Tamper(now=lambda: now[0])
    tamper.stall(0.5)
    tamper.stall(0.2)
    assert tamper.silence_s == 0.5
    now[0] = 10.6
    assert tamper.silence_s == 0


def test_a_stall_can_be_ended():
    tamper = Tamper(now=lambda: 100.0)
    tamper.stall(5.0)
    assert tamper.silence_s == 5.0
    tamper.end_stall()
    assert tamper.silence_s == 0.0
