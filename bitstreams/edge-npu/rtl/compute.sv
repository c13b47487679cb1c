// The compute commands, one at a time: keeps the command, works out plane sizes, starts the unit that does it and joins
// the units' ports to the activation memory, of which only the working one uses any.
module compute #(
    parameter ROWS = 16,
    parameter ACT_WORDS = 16384,
    parameter WGT_WORDS = 1024,
    parameter PAR_CHANNELS = 512
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            clear,
    input  logic            start,
    input  logic [319:0]    command,
    input  logic [127:0]    exit_limits,
    output logic            busy,
    output logic            bad_address,
    output logic            mac_busy,
    output logic [15:0]     tag,

    output logic            leave,
    output logic [1:0]      found_number,
    output logic [15:0]     found_label,
    output logic [31:0]     found_sum,
    output logic [511:0]    logits,

    output logic            act_re,
    output logic [23:0]     act_raddr,
    input  logic [63:0]     act_q,
    output logic            act_we,
    output logic [23:0]     act_waddr,
    output logic [63:0]     act_wdata,

    input  logic [ROWS-1:0] wgt_we,
    input  logic            par_we,
    input  logic            tab_we,
    input  logic [23:0]     scratch_waddr,
    input  logic [5:0]      scratch_part,
    input  logic [63:0]     scratch_wdata,
    input  logic [63:0]     scratch_previous
);
    `include "npu_registers.svh"
    localparam WAW = $clog2(WGT_WORDS);

    logic [319:0] cmd;
    logic [7:0]   op;
    logic [31:0]  w1, w2, w3, w4, w5, w6, w7, w8, w9;
    assign {w9, w8, w7, w6, w5, w4, w3, w2, w1} = cmd[319:32];
    assign op = cmd[7:0];
    assign tag = cmd[31:16];

    // Plane sizes take a multiplication each, done in turn: setup 3, 2, then the unit starts at 1.
    logic [1:0]  setup;
    logic [31:0] size, plane, plane_in, plane_out;
    logic        go, is_conv, is_add, is_max, is_average, is_exit;
    assign is_conv = op == NPU_OP_CONV;
    assign is_add = op == NPU_OP_ADD;
    assign is_max = op == NPU_OP_MAXPOOL;
    assign is_average = op == NPU_OP_AVGPOOL;
    assign is_exit = op == NPU_OP_EXIT;
    assign size = !is_conv ? w3 : setup == 2'd3 ? w5 : w6;
    assign plane = {16'b0, size[15:0]} * {16'b0, size[31:16]};
    assign go = setup == 2'd1 && !malformed;

    always_ff @(posedge clk) begin
        if (setup != 0) setup <= setup - 2'd1;
        if (setup == 2'd3) plane_in <= plane;
        if (setup == 2'd2) plane_out <= plane;
        if (start) begin
            cmd <= command;
            setup <= 2'd3;
        end
        if (rst) begin
            setup <= 2'd0;
            cmd <= '0;
        end
    end

    // What a command may say; addresses are checked as they are used.
    logic malformed, none, far;
    assign far = |{plane_in[31:24], plane_out[31:24]};
    always_comb begin
        none = 1'b0;
        malformed = 1'b0;
        if (is_conv) begin
            none = plane_in == 0 || plane_out == 0 || w7[15:0] == 0 || w7[31:16] == 0;
            malformed = none || far || |{w1[31:24], w2[31:24], w3[31:24]} || |w4[31:16] || |w4[1:0]
                        || !(w8[7:0] == 8'd1 || w8[7:0] == 8'd3) || !(w8[15:8] == 8'd1 || w8[15:8] == 8'd2)
                        || |w8[23:18] || |w8[31:26];
        end
        if (is_add)
            malformed = w4 == 0 || |{w1[31:24], w2[31:24], w3[31:24], w4[31:24]} || w7[5:0] == 0 || |w7[7:6];
        if (is_max) begin
            none = plane_in == 0 || w4[15:0] == 0 || w5 == 0 || {16'b0, w3[15:0]} < w5 || {16'b0, w3[31:16]} < w5;
            malformed = none || far || |{w1[31:24], w2[31:24], w4[31:16]} || |w5[31:4];
        end
        if (is_average) begin
            none = plane_in == 0 || w4[15:0] == 0;
            malformed = none || far || |{w1[31:24], w2[31:24], w4[31:16]} || w5[31] || w6[5:0] == 0 || |w6[7:6];
        end
        if (is_exit)
            malformed = |w1[31:24] || w2 == 0 || |w2[31:16] || |w3[31:2] || |w4[31:2];
    end

    // Convolution.
    logic        walking, tap_valid, tap_padded, tap_first, tap_last, mac_running, pixel_done;
    logic [23:0] tap_addr, tap_wgt, tap_out, pixel_out [6];
    logic [15:0] tap_par, pixel_par [6];
    logic [ROWS*32-1:0] accs;

    conv_walker #(.ROWS(ROWS), .SLOT(ROWS / 4)) walker (
        .clk(clk), .rst(rst), .start(go && is_conv),
        .in_base(w1[23:0]), .out_base(w2[23:0]), .wgt_base(w3[23:0]), .par_base(w4[15:0]),
        .h_in(w5[15:0]), .w_in(w5[31:16]), .h_out(w6[15:0]), .w_out(w6[31:16]),
        .in_groups(w7[15:0]), .out_groups(w7[31:16]), .kernel3(w8[1]), .stride2(w8[9]),
        .pad_top(w8[17:16]), .pad_left(w8[25:24]), .plane_in(plane_in[23:0]), .plane_out(plane_out[23:0]),
        .busy(walking), .tap_valid(tap_valid), .tap_padded(tap_padded), .tap_first(tap_first),
        .tap_last(tap_last), .act_addr(tap_addr), .wgt_addr(tap_wgt), .out_addr(tap_out), .par_channel(tap_par)
    );

    mac_array #(.ROWS(ROWS), .WORDS(WGT_WORDS)) array (
        .clk(clk), .rst(rst), .we(wgt_we), .waddr(scratch_waddr[WAW-1:0]), .wdata(scratch_wdata),
        .tap_valid(tap_valid), .tap_padded(tap_padded), .tap_first(tap_first), .tap_last(tap_last),
        .wgt_addr(tap_wgt[WAW-1:0]), .act_q(act_q), .pad_value(w9[7:0]),
        .busy(mac_running), .done(pixel_done), .accs(accs)
    );
    assign mac_busy = tap_valid;

    // Where a pixel goes, kept beside it while it is in the array.
    always_ff @(posedge clk) begin
        pixel_out[0] <= tap_out;
        pixel_par[0] <= tap_par;
        for (int i = 1; i < 6; i++) begin
            pixel_out[i] <= pixel_out[i-1];
            pixel_par[i] <= pixel_par[i-1];
        end
    end

    // Pools and addition.
    logic        adding, add_re, add_we, maxing, max_re, max_we, averaging, average_re, average_done;
    logic [23:0] add_raddr, add_waddr, max_raddr, max_waddr, average_raddr, average_out;
    logic [63:0] add_wdata, max_wdata;
    logic [255:0] sums;

    add_unit add (
        .clk(clk), .rst(rst), .start(go && is_add), .a_base(w1[23:0]), .b_base(w2[23:0]), .out_base(w3[23:0]),
        .words(w4[23:0]), .ma(w5[24:0]), .mb(w6[24:0]), .shift(w7[5:0]), .za(w7[15:8]), .zb(w7[23:16]),
        .zy(w7[31:24]), .lo(w8[7:0]), .hi(w8[15:8]), .busy(adding), .re(add_re), .raddr(add_raddr), .q(act_q),
        .we(add_we), .waddr(add_waddr), .wdata(add_wdata)
    );

    max_pool pool (
        .clk(clk), .rst(rst), .start(go && is_max), .in_base(w1[23:0]), .out_base(w2[23:0]), .height(w3[15:0]),
        .width(w3[31:16]), .groups(w4[15:0]), .k(w5[3:0]), .plane(plane_in[23:0]), .busy(maxing), .re(max_re),
        .raddr(max_raddr), .q(act_q), .we(max_we), .waddr(max_waddr), .wdata(max_wdata)
    );

    average_pool average (
        .clk(clk), .rst(rst), .start(go && is_average), .in_base(w1[23:0]), .out_base(w2[23:0]),
        .groups(w4[15:0]), .plane(plane_in[23:0]), .zx(w6[15:8]), .busy(averaging), .re(average_re),
        .raddr(average_raddr), .q(act_q), .done(average_done), .sums(sums), .out_addr(average_out)
    );

    // The requantiser serves convolution and average pooling.
    logic        requantising, bad_channel, requantised_we;
    logic [23:0] requantised_addr;
    logic [63:0] requantised;
    logic [ROWS*32-1:0] values;
    assign values = is_conv ? accs : (ROWS*32)'(sums);

    requantiser #(.ROWS(ROWS), .PAR_CHANNELS(PAR_CHANNELS)) requantise (
        .clk(clk), .rst(rst), .start(pixel_done || average_done), .accs(values),
        .quads(is_conv ? 4'(ROWS / 4) : 4'd2), .out_addr(is_conv ? pixel_out[5] : average_out),
        .out_step(plane_out[23:0]), .own(!is_conv), .own_multiplier(w5[30:0]), .own_shift(w6[5:0]),
        .par_channel(pixel_par[5]),
        .zp(is_conv ? w9[15:8] : w6[23:16]), .lo(is_conv ? w9[23:16] : w7[7:0]),
        .hi(is_conv ? w9[31:24] : w7[15:8]), .busy(requantising), .bad_address(bad_channel),
        .par_we(par_we), .par_waddr(scratch_waddr), .par_low(scratch_previous), .par_high(scratch_wdata[5:0]),
        .we(requantised_we), .waddr(requantised_addr), .wdata(requantised)
    );

    // Confidence test.
    logic        testing, exit_re;
    logic [23:0] exit_raddr;
    exit_test confidence (
        .clk(clk), .rst(rst), .clear(clear), .start(go && is_exit), .base(w1[23:0]), .classes(w2[15:0]),
        .number(w3[1:0]), .table_number(w4[1:0]), .always_leave(w5[0]), .limit(exit_limits[32*w3[1:0] +: 32]),
        .busy(testing), .leave(leave), .re(exit_re), .raddr(exit_raddr), .q(act_q),
        .tab_we(tab_we), .tab_waddr({scratch_waddr[1:0], scratch_part}), .tab_wdata(scratch_wdata),
        .found_number(found_number), .found_label(found_label), .found_sum(found_sum), .logits(logits)
    );

    assign busy = setup != 0 || walking || mac_running || requantising || adding || maxing || averaging || testing;
    assign act_re = (tap_valid && !tap_padded) || add_re || max_re || average_re || exit_re;
    assign act_raddr = is_conv ? tap_addr : is_add ? add_raddr : is_max ? max_raddr
                       : is_average ? average_raddr : exit_raddr;
    assign act_we = requantised_we || add_we || max_we;
    assign act_waddr = is_add ? add_waddr : is_max ? max_waddr : requantised_addr;
    assign act_wdata = is_add ? add_wdata : is_max ? max_wdata : requantised;
    assign bad_address = (setup == 2'd1 && malformed) || bad_channel
                         || (act_re && act_raddr >= 24'(ACT_WORDS)) || (act_we && act_waddr >= 24'(ACT_WORDS))
                         || (tap_valid && tap_wgt >= 24'(WGT_WORDS));
    wire unused = &{1'b0, cmd[15:8]};
endmodule
