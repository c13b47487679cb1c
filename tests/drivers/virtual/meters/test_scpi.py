from __future__ import annotations

from drivers.virtual.meters.scpi import VirtualSupply


def test_it_answers_queries_and_nothing_else():
    supply = VirtualSupply()
    supply.draw(12.0)
    assert supply.answer("*IDN?")[0].count(",") == 3
    assert [float(supply.answer(f"MEAS:{what}?")[0]) for what in ("VOLT", "CURR", "POW")] == [5.0, 2.4, 12.0]
    assert supply.answer("OUTP OFF") == []
    assert (supply.answer("OUTP?"), float(supply.answer("MEAS:POW?")[0])) == (["0"], 0.0)
    assert supply.answer("WHAT") == []
    assert supply.answer("SYST:ERR?") == ['-113,"Undefined header"']
    assert supply.answer("SYST:ERR?")[0].startswith("0,")
