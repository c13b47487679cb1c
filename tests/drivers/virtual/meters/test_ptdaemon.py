from __future__ import annotations

import time

from drivers.virtual.meters.ptdaemon import VirtualPtd


def test_the_dialogue_of_a_measurement():
    with VirtualPtd() as daemon:
        say = daemon._answer
        assert say("Hello") == ["Hello, PTDaemon here!"]
        assert say("RR") == ["Ranges,1,0.500000,1,300.000000"]
        assert say("SR,A,5") == ["Range A changed"]
        assert say("RR") == ["Ranges,0,5.000000,1,300.000000"]
        assert say("Stop") == ["Error: no measurement to stop"]
        assert say("Go,10,0,x_testing")[0].startswith("Starting untimed measurement")
        time.sleep(0.025)
        head, *samples = say("RL,*,*")
        assert head == f"Last {len(samples)} samples"
        assert len(samples) >= 2
        assert samples[0].startswith("Time,")
        assert samples[0].endswith("Mark,x_testing")
        assert say("RL") == ["Invalid number of parameters"]
        assert say("Stop") == ["Stopping untimed measurement"]
        assert say("Nonsense") == ["Unknown command"]
