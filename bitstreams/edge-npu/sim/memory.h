// Memory at the end of the AXI port: a fixed latency, a bound on bandwidth, and faults on request.
// It also watches the protocol, so that a test can ask whether the RTL ever broke a rule.
#pragma once
#include <cstdint>
#include <cstring>
#include <deque>

struct Burst {
    uint64_t addr, ready;
    unsigned left;
};

struct Memory {
    uint8_t *bytes;
    uint64_t base, size;
    // Model: cycles from an accepted address to its first beat, from the last beat written to its answer, and how many
    // beats of 8 bytes pass in 1,024 cycles, reads and writes together.
    uint32_t read_latency = 40, write_latency = 20, beats_per_1024 = 1024;
    // Faults.
    bool hang = false;
    uint64_t fault_low = 0, fault_high = 0;
    bool fault_read = false, fault_write = false;
    // Rules broken: 1 length, 2 crosses 4 KiB, 4 unaligned, 8 withdrawn or changed before accepted, 16 wrong wlast.
    uint32_t violations = 0;
    uint64_t beats_read = 0, beats_written = 0;

    std::deque<Burst> reads, writes;
    uint64_t now = 0, answer_at = 0;
    uint32_t credit = 1024;
    bool beat_out = false, answering = false;
    uint32_t answer = 0;

    bool inside(uint64_t addr) const { return addr >= base && addr - base + 8 <= size; }
    uint32_t response(uint64_t addr, bool armed) const {
        if (!inside(addr)) return 3;
        return armed && addr >= fault_low && addr < fault_high ? 2 : 0;
    }
    void check(uint64_t addr, unsigned len) {
        if (len > 15) violations |= 1;
        if ((addr & 4095) + 8 * (len + 1) > 4096) violations |= 2;
        if (addr & 7) violations |= 4;
    }
    void reset() {
        reads.clear();
        writes.clear();
        beat_out = answering = false;
        answer = 0;
    }
};

// One side of a channel as it stood in the last cycle, to see whether a valid was withdrawn.
struct Held {
    bool valid = false;
    uint64_t what = 0;
    bool broken(bool now_valid, uint64_t now_what, bool accepted_before) {
        bool bad = valid && !accepted_before && (!now_valid || now_what != what);
        valid = now_valid;
        what = now_what;
        return bad;
    }
};
