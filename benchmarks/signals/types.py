"""The types of meters that the energy benchmark looks through, with the figures of their data sheets."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.signals.meters import Counter, Ina3221, Meter, Paced, Register


class Type(Struct, frozen=True, kw_only=True):
    """A type of meter on a fitting load.

    Attributes:
        idle_w, load_w: power of the loads it is tried on [W]. sensor_s: its sensor's period or window, the longer [s].
        meter: draws an instance of it and says what that one says of a load.
    """

    idle_w: float
    load_w: float
    sensor_s: float
    meter: Meter


ORIN_NX = Ina3221(rails=(("VDD_IN", 1.0, 5e-3, 5.0),))
AGX_ORIN = Ina3221(
    rails=(("VDD_GPU_SOC", 0.5, 2e-3, 20.0), ("VDD_CPU_CV", 0.3, 2e-3, 20.0), ("VIN_SYS_5V0", 0.2, 2e-3, 5.0))
)

TYPES: dict[str, Type] = {
    "ina3221 5 mOhm": Type(idle_w=4.0, load_w=12.0, sensor_s=0.02, meter=ORIN_NX),
    "ina3221 AGX Orin": Type(idle_w=12.0, load_w=60.0, sensor_s=0.02, meter=AGX_ORIN),
    # TI SBOS547: 1.1 ms each for volts and amperes, 16 averaged; 2.5 uV a step over 5 mOhm, 25 of them a power step.
    "ina226 hwmon": Type(
        idle_w=14.0,
        load_w=25.0,
        sensor_s=0.05,
        meter=Register(
            quantity="average",
            metered="board",
            poll_s=0.05,
            window_s=0.0352,
            period_s=0.0352,
            tolerance=0.1,
            step_w=0.0125,
            gain_limit=0.011,
            offset_w=0.024,
        ),
    ),
    # arXiv 2312.02741: renewed every 100 ms; mean of 1 s, or the last 25 ms only; 5 % is what NVIDIA states.
    "nvml average 1 s": Type(
        idle_w=60.0,
        load_w=300.0,
        sensor_s=1.0,
        meter=Register(
            quantity="average",
            metered="board",
            poll_s=0.05,
            window_s=1.0,
            period_s=0.1,
            step_w=1e-3,
            gain_limit=0.05,
        ),
    ),
    "nvml instant": Type(
        idle_w=60.0,
        load_w=300.0,
        sensor_s=0.1,
        meter=Register(
            quantity="instant",
            metered="board",
            poll_s=0.02,
            window_s=0.025,
            period_s=0.1,
            step_w=1e-3,
            gain_limit=0.05,
        ),
    ),
    # A bench supply at 20 readings a second, one 50 Hz cycle each; 0.1 % + 10 mW is assumed, makers state less.
    "scpi": Type(
        idle_w=4.0,
        load_w=12.0,
        sensor_s=0.05,
        meter=Register(
            quantity="instant",
            metered="board",
            poll_s=0.05,
            window_s=0.02,
            step_w=1e-3,
            gain_limit=1e-3,
            offset_w=0.01,
            jitter_s=3e-3,
            late_s=(-0.01, 0.01),
            outside=True,
        ),
    ),
    # Yokogawa WT310: 0.1 % of reading + 0.1 % of range (DC and 45 to 66 Hz); stamps within 0.1 s are assumed.
    "ptdaemon 1 Hz": Type(
        idle_w=40.0,
        load_w=150.0,
        sensor_s=1.0,
        meter=Paced(
            metered="wall",
            period_s=1.0,
            window_s=1.0,
            step_w=0.01,
            gain_limit=1e-3,
            offset_w=0.3,
            late_s=(0.0, 0.1),
            stamp_s=1e-3,
        ),
    ),
    # An INA226 read by a microcontroller at 200 Hz, 0.1 ohm of 1 %, whole milliwatts; lines of 36 characters at 115,200
    # baud behind a USB bridge whose latency timer is set to 1 ms: 3 to 7 ms late is assumed.
    "serial csv": Type(
        idle_w=1.0,
        load_w=4.0,
        sensor_s=0.005,
        meter=Paced(
            metered="board",
            period_s=0.005,
            window_s=0.0022,
            step_w=1e-3,
            gain_limit=0.011,
            offset_w=5e-4,
            late_s=(0.003, 0.007),
            stamp_s=1e-6,
            tolerance=1e-4,
        ),
    ),
    "nvml counter": Type(
        idle_w=60.0,
        load_w=300.0,
        sensor_s=0.1,
        meter=Counter(poll_s=0.05, period_s=0.1, step_j=1e-3, gain_limit=0.05),
    ),
    # 2^-14 J a step, renewed about every millisecond (Intel SDM vol. 3B, 15.10); 3 % is assumed.
    "rapl": Type(
        idle_w=10.0,
        load_w=45.0,
        sensor_s=0.05,
        meter=Counter(poll_s=0.05, period_s=1e-3, step_j=2.0**-14, gain_limit=0.03),
    ),
}
