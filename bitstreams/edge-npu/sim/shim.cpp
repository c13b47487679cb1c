// What ctypes calls: one overlay with its memory, clocked from here. See memory.h for the memory's model.
#include <memory>
#include <vector>

#include "Vedge_npu.h"
#include "Vedge_npu___024root.h"
#include "memory.h"
#include "verilated.h"

namespace {

struct Event {
    uint64_t cycle;
    uint32_t word;  // word 0 of the command, or ~0 when compute fell idle
    uint32_t pad;
};

struct Npu {
    VerilatedContext context;
    Vedge_npu top{&context};
    Memory memory;
    Held address_read, address_write;
    bool ar_taken = false, aw_taken = false;
    bool recording = false, was_computing = false;
    std::vector<Event> events;

    // One clock cycle: inputs stand, outputs are sampled, then the edge.
    void tick() {
        Memory &m = memory;
        m.credit = m.credit + m.beats_per_1024 > 2047 ? 2047 : m.credit + m.beats_per_1024;
        bool open = !m.hang;

        top.m_axi_arready = open && m.reads.size() < 8;
        top.m_axi_awready = open && m.writes.size() < 2;
        if (!m.beat_out && open && !m.reads.empty() && m.reads.front().ready <= m.now && m.credit >= 1024) {
            Burst &burst = m.reads.front();
            m.credit -= 1024;
            m.beat_out = true;
            top.m_axi_rresp = m.response(burst.addr, m.fault_read);
            top.m_axi_rlast = burst.left == 1;
            top.m_axi_rdata = 0;
            if (top.m_axi_rresp == 0) std::memcpy(&top.m_axi_rdata, m.bytes + (burst.addr - m.base), 8);
        }
        top.m_axi_rvalid = m.beat_out;
        bool room = open && !m.writes.empty() && m.writes.front().left && m.credit >= 1024;
        top.m_axi_wready = room;
        top.m_axi_bvalid = open && m.answering && m.answer_at <= m.now;
        top.m_axi_bresp = m.answer;
        top.eval();

        if (recording) record();
        watch();
        if (top.m_axi_arvalid && top.m_axi_arready) {
            m.check(top.m_axi_araddr, top.m_axi_arlen);
            m.reads.push_back({top.m_axi_araddr, m.now + m.read_latency, top.m_axi_arlen + 1u});
        }
        if (top.m_axi_rvalid && top.m_axi_rready) {
            m.beat_out = false;
            m.beats_read++;
            m.reads.front().addr += 8;
            if (--m.reads.front().left == 0) m.reads.pop_front();
        }
        if (top.m_axi_wvalid && room) {
            Burst &burst = m.writes.front();
            m.credit -= 1024;
            m.beats_written++;
            uint32_t response = m.response(burst.addr, m.fault_write);
            if (response == 0) std::memcpy(m.bytes + (burst.addr - m.base), &top.m_axi_wdata, 8);
            m.answer |= response;
            burst.addr += 8;
            burst.left--;
            if ((burst.left == 0) != (top.m_axi_wlast != 0)) m.violations |= 16;
            if (burst.left == 0) {
                m.answering = true;
                m.answer_at = m.now + m.write_latency;
            }
        }
        if (top.m_axi_bvalid && top.m_axi_bready) {
            m.answering = false;
            m.answer = 0;
            m.writes.pop_front();
        }
        if (top.m_axi_awvalid && top.m_axi_awready) {
            m.check(top.m_axi_awaddr, top.m_axi_awlen);
            m.writes.push_back({top.m_axi_awaddr, 0, top.m_axi_awlen + 1u});
        }

        top.aclk = 1;
        top.eval();
        top.aclk = 0;
        m.now++;
    }

    void watch() {
        Memory &m = memory;
        if (address_read.broken(top.m_axi_arvalid, top.m_axi_araddr << 8 | top.m_axi_arlen, ar_taken)) m.violations |= 8;
        if (address_write.broken(top.m_axi_awvalid, top.m_axi_awaddr << 8 | top.m_axi_awlen, aw_taken)) m.violations |= 8;
        ar_taken = top.m_axi_arvalid && top.m_axi_arready;
        aw_taken = top.m_axi_awvalid && top.m_axi_awready;
    }

    void record() {
#ifndef NPU_NETLIST
        auto *root = top.rootp;
        // The next command may be taken in the very cycle in which compute falls idle: the end comes first.
        bool computing = root->edge_npu__DOT__compute_busy;
        if (was_computing && !computing) events.push_back({memory.now, ~0u, 0});
        if (root->edge_npu__DOT__take) events.push_back({memory.now, root->edge_npu__DOT__command[0], 0});
        was_computing = computing;
#endif
    }

    void hard_reset() {
        top.aresetn = 0;
        for (int i = 0; i < 4; i++) tick();
        memory.reset();
        top.aresetn = 1;
        tick();
        address_read = address_write = Held();
        memory.violations = 0;
    }
};

}  // namespace

extern "C" {

void *npu_create(uint8_t *bytes, uint64_t base, uint64_t size) {
    auto *npu = new Npu;
    npu->memory.bytes = bytes;
    npu->memory.base = base;
    npu->memory.size = size;
    npu->top.s_axi_bready = npu->top.s_axi_rready = 1;
    npu->hard_reset();
    return npu;
}

void npu_destroy(void *handle) {
    // Verilator's destructors ask for the thread's context, which may be that of an overlay gone before.
    Verilated::threadContextp(&static_cast<Npu *>(handle)->context);
    delete static_cast<Npu *>(handle);
}

void npu_hard_reset(void *handle) { static_cast<Npu *>(handle)->hard_reset(); }

void npu_timing(void *handle, uint32_t read_latency, uint32_t write_latency, uint32_t beats_per_1024) {
    Memory &m = static_cast<Npu *>(handle)->memory;
    m.read_latency = read_latency;
    m.write_latency = write_latency;
    m.beats_per_1024 = beats_per_1024;
}

void npu_fault(void *handle, int hang, int read, int write, uint64_t low, uint64_t high) {
    Memory &m = static_cast<Npu *>(handle)->memory;
    m.hang = hang;
    m.fault_read = read;
    m.fault_write = write;
    m.fault_low = low;
    m.fault_high = high;
}

// Cycles until the overlay is not running any more, at most so many. Returns how many passed.
uint64_t npu_run(void *handle, uint64_t most) {
    auto *npu = static_cast<Npu *>(handle);
    uint64_t passed = 0;
    while (passed < most && npu->top.running) {
        npu->tick();
        passed++;
    }
    return passed;
}

void npu_step(void *handle, uint64_t cycles) {
    while (cycles--) static_cast<Npu *>(handle)->tick();
}

int npu_running(void *handle) { return static_cast<Npu *>(handle)->top.running; }
int npu_irq(void *handle) { return static_cast<Npu *>(handle)->top.irq; }
uint64_t npu_now(void *handle) { return static_cast<Npu *>(handle)->memory.now; }
uint32_t npu_violations(void *handle) { return static_cast<Npu *>(handle)->memory.violations; }
uint64_t npu_beats(void *handle, int written) {
    Memory &m = static_cast<Npu *>(handle)->memory;
    return written ? m.beats_written : m.beats_read;
}

// AXI4-Lite. Returns 0 to 3, the response, or -1: not answered in 1,000 cycles.
int npu_write(void *handle, uint32_t offset, uint32_t value, uint32_t strobes) {
    auto *npu = static_cast<Npu *>(handle);
    auto &top = npu->top;
    top.s_axi_awaddr = offset;
    top.s_axi_wdata = value;
    top.s_axi_wstrb = strobes;
    top.s_axi_awvalid = top.s_axi_wvalid = 1;
    for (int i = 0; i < 1000; i++) {
        top.eval();
        bool taken = top.s_axi_awready;
        npu->tick();
        if (taken) {
            top.s_axi_awvalid = top.s_axi_wvalid = 0;
            int response = top.s_axi_bresp;
            npu->tick();
            return response;
        }
    }
    top.s_axi_awvalid = top.s_axi_wvalid = 0;
    return -1;
}

int npu_read(void *handle, uint32_t offset, uint32_t *value) {
    auto *npu = static_cast<Npu *>(handle);
    auto &top = npu->top;
    top.s_axi_araddr = offset;
    top.s_axi_arvalid = 1;
    for (int i = 0; i < 1000; i++) {
        top.eval();
        bool taken = top.s_axi_arready;
        npu->tick();
        if (taken) {
            top.s_axi_arvalid = 0;
            *value = top.s_axi_rdata;
            int response = top.s_axi_rresp;
            npu->tick();
            return response;
        }
    }
    top.s_axi_arvalid = 0;
    return -1;
}

void npu_record(void *handle, int on) {
    auto *npu = static_cast<Npu *>(handle);
    npu->recording = on;
    npu->events.clear();
}

uint64_t npu_events(void *handle, const Event **first) {
    auto *npu = static_cast<Npu *>(handle);
    *first = npu->events.data();
    return npu->events.size();
}
}
