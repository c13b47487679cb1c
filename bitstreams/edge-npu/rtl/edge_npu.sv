// edge-npu: an int8 inference engine with an AXI4-Lite slave for control and an AXI4 master of its own for everything
// else. See docs/edge-npu.md for registers, commands and layouts. One clock, reset low and synchronous.
module edge_npu #(
    parameter ROWS = 16,            // output channels at a time, a multiple of 8, at most 56
    parameter ACT_WORDS = 16384,    // activation memory, words of 8 int8; a power of two from 1024
    parameter WGT_WORDS = 1024,     // weight memory, words of ROWS x 8 int8; a power of two
    parameter PAR_CHANNELS = 512    // parameter memory, channels; a power of two
) (
    input  logic        aclk,
    input  logic        aresetn,
    output logic        irq,
    output logic        running,        // BUSY, for an LED or a scope

    input  logic [11:0] s_axi_awaddr,
    input  logic [2:0]  s_axi_awprot,
    input  logic        s_axi_awvalid,
    output logic        s_axi_awready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0]  s_axi_wstrb,
    input  logic        s_axi_wvalid,
    output logic        s_axi_wready,
    output logic [1:0]  s_axi_bresp,
    output logic        s_axi_bvalid,
    input  logic        s_axi_bready,
    input  logic [11:0] s_axi_araddr,
    input  logic [2:0]  s_axi_arprot,
    input  logic        s_axi_arvalid,
    output logic        s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output logic [1:0]  s_axi_rresp,
    output logic        s_axi_rvalid,
    input  logic        s_axi_rready,

    output logic [31:0] m_axi_araddr,
    output logic [7:0]  m_axi_arlen,
    output logic [2:0]  m_axi_arsize,
    output logic [1:0]  m_axi_arburst,
    output logic [3:0]  m_axi_arcache,
    output logic [2:0]  m_axi_arprot,
    output logic        m_axi_arvalid,
    input  logic        m_axi_arready,
    input  logic [63:0] m_axi_rdata,
    input  logic [1:0]  m_axi_rresp,
    input  logic        m_axi_rlast,
    input  logic        m_axi_rvalid,
    output logic        m_axi_rready,
    output logic [31:0] m_axi_awaddr,
    output logic [7:0]  m_axi_awlen,
    output logic [2:0]  m_axi_awsize,
    output logic [1:0]  m_axi_awburst,
    output logic [3:0]  m_axi_awcache,
    output logic [2:0]  m_axi_awprot,
    output logic        m_axi_awvalid,
    input  logic        m_axi_awready,
    output logic [63:0] m_axi_wdata,
    output logic [7:0]  m_axi_wstrb,
    output logic        m_axi_wlast,
    output logic        m_axi_wvalid,
    input  logic        m_axi_wready,
    input  logic [1:0]  m_axi_bresp,
    input  logic        m_axi_bvalid,
    output logic        m_axi_bready
);
    localparam AAW = $clog2(ACT_WORDS);

    // Every burst is INCR, 8 bytes a beat, normal non-cacheable bufferable memory.
    assign {m_axi_arsize, m_axi_arburst, m_axi_arcache, m_axi_arprot} = {3'd3, 2'b01, 4'b0011, 3'b000};
    assign {m_axi_awsize, m_axi_awburst, m_axi_awcache, m_axi_awprot} = {3'd3, 2'b01, 4'b0011, 3'b000};
    assign m_axi_wstrb = 8'hFF;

    logic rst, stop, halt, closing;
    assign rst = !aresetn;
    assign stop = rst || halt;
    assign running = busy;

    // Control.
    logic         start, soft_reset, busy, begin_run, set_done, set_error;
    logic [3:0]   error_code;
    logic [17:0]  error_info;
    logic [31:0]  program_base, program_commands, commands_offset, input_base, output_base, watchdog, commands;
    logic [127:0] exit_limits;
    logic [255:0] mask;
    logic [63:0]  cycles, stalls, mac_cycles;
    logic [7:0]   exit_number;
    logic [15:0]  found_label, last_tag, compute_tag;

    control #(.ROWS(ROWS), .ACT_WORDS(ACT_WORDS), .WGT_WORDS(WGT_WORDS), .PAR_CHANNELS(PAR_CHANNELS)) registers (
        .clk(aclk), .rst(rst),
        .s_awaddr(s_axi_awaddr), .s_awvalid(s_axi_awvalid), .s_awready(s_axi_awready),
        .s_wdata(s_axi_wdata), .s_wstrb(s_axi_wstrb), .s_wvalid(s_axi_wvalid), .s_wready(s_axi_wready),
        .s_bresp(s_axi_bresp), .s_bvalid(s_axi_bvalid), .s_bready(s_axi_bready),
        .s_araddr(s_axi_araddr), .s_arvalid(s_axi_arvalid), .s_arready(s_axi_arready),
        .s_rdata(s_axi_rdata), .s_rresp(s_axi_rresp), .s_rvalid(s_axi_rvalid), .s_rready(s_axi_rready),
        .start(start), .soft_reset(soft_reset), .irq(irq), .program_base(program_base),
        .program_commands(program_commands), .commands_offset(commands_offset), .input_base(input_base),
        .output_base(output_base), .watchdog(watchdog), .exit_limits(exit_limits), .mask(mask),
        .busy(busy), .begin_run(begin_run), .set_done(set_done), .set_error(set_error),
        .error_code(error_code), .error_info(error_info), .cycles(cycles), .stalls(stalls),
        .mac_cycles(mac_cycles), .commands(commands), .exit_number(exit_number), .exit_label(found_label)
    );

    // Bus.
    logic        read_idle, read_valid, read_client, read_ready, read_error, write_busy, write_error;
    logic        beat_valid, beat_client, beat_ready, put, go;
    logic [31:0] read_addr, go_addr;
    logic [4:0]  read_beats;
    logic [63:0] beat_data, put_data;
    logic [1:0]  read_response, write_response;

    axi_read read (
        .clk(aclk), .rst(rst), .flush(halt || closing), .idle(read_idle),
        .req_valid(read_valid), .req_client(read_client), .req_addr(read_addr), .req_beats(read_beats),
        .req_ready(read_ready), .beat_valid(beat_valid), .beat_client(beat_client), .beat_data(beat_data),
        .beat_ready(beat_ready), .error(read_error), .error_response(read_response),
        .m_araddr(m_axi_araddr), .m_arlen(m_axi_arlen), .m_arvalid(m_axi_arvalid), .m_arready(m_axi_arready),
        .m_rdata(m_axi_rdata), .m_rresp(m_axi_rresp), .m_rlast(m_axi_rlast), .m_rvalid(m_axi_rvalid),
        .m_rready(m_axi_rready)
    );

    axi_write write (
        .clk(aclk), .rst(rst), .flush(halt), .busy(write_busy), .put(put), .put_data(put_data), .go(go),
        .go_addr(go_addr), .error(write_error), .error_response(write_response),
        .m_awaddr(m_axi_awaddr), .m_awlen(m_axi_awlen), .m_awvalid(m_axi_awvalid), .m_awready(m_axi_awready),
        .m_wdata(m_axi_wdata), .m_wlast(m_axi_wlast), .m_wvalid(m_axi_wvalid), .m_wready(m_axi_wready),
        .m_bresp(m_axi_bresp), .m_bvalid(m_axi_bvalid), .m_bready(m_axi_bready)
    );

    // Commands.
    logic         take /* verilator public_flat_rd */, compute_busy /* verilator public_flat_rd */;
    logic         fetch_valid, fetch_exhausted, fetch_request, start_load, start_store, start_compute;
    logic         start_record, mac_busy, leave, record_busy, load_busy, store_busy, load_bad;
    logic         store_bad, compute_bad;
    logic [31:0]  fetch_addr;
    logic [511:0] command /* verilator public_flat_rd */;
    logic [1:0]   found_number;

    command_fetch fetch (
        .clk(aclk), .rst(stop || closing), .start(begin_run), .first_addr(program_base + commands_offset),
        .commands(program_commands), .take(take), .valid(fetch_valid), .exhausted(fetch_exhausted),
        .command(command), .req_valid(fetch_request), .req_addr(fetch_addr),
        .req_ready(read_ready && !read_client), .beat_valid(beat_valid && !beat_client), .beat_data(beat_data)
    );

    sequencer sequence_commands (
        .clk(aclk), .rst(rst), .start(start), .soft_reset(soft_reset), .watchdog(watchdog),
        .bases_bad(|{program_base[5:0], commands_offset[5:0], input_base[5:0], output_base[6:0]}),
        .busy(busy), .begin_run(begin_run), .closing(closing), .halt(halt), .set_done(set_done), .set_error(set_error),
        .error_code(error_code), .error_info(error_info), .cycles(cycles), .stalls(stalls),
        .mac_cycles(mac_cycles), .commands(commands), .exit_number(exit_number), .last_tag(last_tag),
        .fetch_valid(fetch_valid), .fetch_exhausted(fetch_exhausted), .command(command[319:0]), .take(take),
        .start_load(start_load), .start_store(start_store), .start_compute(start_compute),
        .start_record(start_record), .dma_busy(load_busy || store_busy), .compute_tag(compute_tag),
        .compute_busy(compute_busy), .mac_busy(mac_busy), .leave(leave), .found_number(found_number),
        .record_busy(record_busy), .read_idle(read_idle), .write_idle(!write_busy && !m_axi_awvalid),
        .dma_bad(load_bad || store_bad), .compute_bad(compute_bad), .read_error(read_error),
        .read_response(read_response), .write_error(write_error), .write_response(write_response)
    );

    // Loads and stores.
    logic            load_request, load_ready, act_load_we, par_we, tab_we, act_re, act_we, store_re;
    logic [31:0]     load_addr, load_source;
    logic [4:0]      load_beats;
    logic [ROWS-1:0] wgt_we;
    logic [23:0]     scratch_waddr, act_raddr, act_waddr, store_raddr;
    logic [5:0]      scratch_part;
    logic [63:0]     scratch_wdata, scratch_previous, act_q, act_wdata;

    // Commands go before loads: a command is short, and compute may wait for it.
    assign read_valid = fetch_request || load_request;
    assign read_client = !fetch_request;
    assign read_addr = fetch_request ? fetch_addr : load_addr;
    assign read_beats = fetch_request ? 5'd8 : load_beats;
    assign beat_ready = beat_client ? load_ready : 1'b1;
    assign load_source = (command[64] ? input_base : program_base) + command[127:96];

    dma_load #(.ROWS(ROWS), .ACT_WORDS(ACT_WORDS), .WGT_WORDS(WGT_WORDS), .PAR_CHANNELS(PAR_CHANNELS)) load (
        .clk(aclk), .rst(stop), .start(start_load), .kind(command[33:32]), .source(load_source),
        .destination(command[151:128]), .beats(command[191:163]), .masked(command[192]),
        .mask_rows(command[232:224]), .row_words(command[271:256]), .neutral(command[295:288]), .mask(mask),
        .busy(load_busy), .bad_address(load_bad), .req_valid(load_request), .req_addr(load_addr),
        .req_beats(load_beats), .req_ready(read_ready && read_client), .beat_valid(beat_valid && beat_client),
        .beat_data(beat_data), .beat_ready(load_ready), .act_busy(act_we), .act_we(act_load_we),
        .wgt_we(wgt_we), .par_we(par_we), .tab_we(tab_we), .waddr(scratch_waddr), .part(scratch_part),
        .wdata(scratch_wdata), .previous(scratch_previous)
    );

    logic        store_put, store_go, record_put, record_go;
    logic [63:0] store_data, record_data;
    logic [31:0] store_addr, record_addr;

    dma_store #(.ACT_WORDS(ACT_WORDS)) store (
        .clk(aclk), .rst(stop), .start(start_store), .destination(output_base + command[127:96]),
        .source(command[151:128]), .beats(command[191:163]), .busy(store_busy), .bad_address(store_bad),
        .act_busy(act_re), .act_re(store_re), .act_addr(store_raddr), .act_q(act_q), .put(store_put),
        .put_data(store_data), .go(store_go), .go_addr(store_addr), .write_busy(write_busy)
    );

    // Compute and what it found.
    logic [31:0]  found_sum;
    logic [511:0] logits;

    compute #(.ROWS(ROWS), .ACT_WORDS(ACT_WORDS), .WGT_WORDS(WGT_WORDS), .PAR_CHANNELS(PAR_CHANNELS)) units (
        .clk(aclk), .rst(stop), .clear(begin_run), .start(start_compute), .command(command[319:0]),
        .exit_limits(exit_limits), .busy(compute_busy), .bad_address(compute_bad), .mac_busy(mac_busy),
        .tag(compute_tag), .leave(leave), .found_number(found_number), .found_label(found_label),
        .found_sum(found_sum), .logits(logits), .act_re(act_re), .act_raddr(act_raddr), .act_q(act_q),
        .act_we(act_we), .act_waddr(act_waddr), .act_wdata(act_wdata), .wgt_we(wgt_we), .par_we(par_we),
        .tab_we(tab_we), .scratch_waddr(scratch_waddr), .scratch_part(scratch_part),
        .scratch_wdata(scratch_wdata), .scratch_previous(scratch_previous)
    );

    result_record record (
        .clk(aclk), .rst(stop), .start(start_record), .destination(output_base), .exit_number(exit_number),
        .label(found_label), .sum(found_sum), .cycles(cycles), .stalls(stalls), .tag(last_tag), .logits(logits),
        .busy(record_busy), .put(record_put), .put_data(record_data), .go(record_go), .go_addr(record_addr),
        .write_busy(write_busy)
    );

    assign put = store_put || record_put;
    assign put_data = record_put ? record_data : store_data;
    assign go = store_go || record_go;
    assign go_addr = record_go ? record_addr : store_addr;

    ram #(.WIDTH(64), .WORDS(ACT_WORDS)) activations (
        .clk(aclk), .we(act_we || act_load_we), .waddr(act_we ? act_waddr[AAW-1:0] : scratch_waddr[AAW-1:0]),
        .wdata(act_we ? act_wdata : scratch_wdata), .re(act_re || store_re),
        .raddr(act_re ? act_raddr[AAW-1:0] : store_raddr[AAW-1:0]), .q(act_q)
    );

    wire unused = &{1'b0, s_axi_awprot, s_axi_arprot, command[511:320], act_raddr[23:AAW], act_waddr[23:AAW], store_raddr[23:AAW]};
endmodule
