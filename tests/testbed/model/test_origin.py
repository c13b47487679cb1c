from __future__ import annotations

from testbed.model.origin import Origin, weakest


def test_a_sum_takes_the_weakest_origin_of_its_parts():
    assert weakest([Origin.MEASURED, Origin.EMULATED, Origin.CITED]) is Origin.EMULATED
    assert weakest([Origin.ASSUMED, Origin.MODELLED]) is Origin.ASSUMED
    assert weakest([Origin.CONTENDED, Origin.MEASURED]) is Origin.CONTENDED
    assert weakest([]) is Origin.MEASURED


def test_the_words_are_those_of_the_reports():
    assert [o.value for o in Origin] == [
        "measured",
        "measured (contended)",
        "cited",
        "derived",
        "emulated",
        "simulated",
        "modelled",
        "assumed",
    ]
