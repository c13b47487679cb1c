// Takes the accumulators of one pixel, gives words of 8 int8: four lanes, four values a cycle, two cycles a word.
// The next pixel may come when the last has been taken in (ROWS / 4 cycles), well before it is through.
module requantiser #(
    parameter ROWS = 16,
    parameter PAR_CHANNELS = 512
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               start,
    input  logic [ROWS*32-1:0] accs,
    input  logic [3:0]         quads,      // quads of four values to take
    input  logic [23:0]        out_addr,
    input  logic [23:0]        out_step,   // from a word to the next
    input  logic               own,        // multiplier and shift of the command, no bias
    input  logic [30:0]        own_multiplier,
    input  logic [5:0]         own_shift,
    input  logic [15:0]        par_channel,
    input  logic [7:0]         zp,
    input  logic [7:0]         lo,
    input  logic [7:0]         hi,
    output logic               busy,
    output logic               bad_address,

    input  logic               par_we,
    input  logic [23:0]        par_waddr,
    input  logic [63:0]        par_low,
    input  logic [5:0]         par_high,

    output logic               we,
    output logic [23:0]        waddr,
    output logic [63:0]        wdata
);
    localparam QW = $clog2(PAR_CHANNELS / 4);

    logic [ROWS*32-1:0] hold;
    logic [3:0]         left;
    logic [15:0]        quad;
    logic [23:0]        at;
    logic               odd, valid;
    logic [127:0]       now;
    logic [7:0]         en;       // en[0]: parameters are being read; en[7]: four values stand
    logic [7:0]         odds;
    logic [23:0]        ats [8];
    logic [4*69-1:0]    params;
    logic [31:0]        four, half;

    assign valid = en[7];
    assign busy = left != 0 || en != 0;
    assign bad_address = left != 0 && !own && quad >= 16'(PAR_CHANNELS / 4);

    always_ff @(posedge clk) begin
        en <= {en[6:0], left != 0};
        if (left != 0) begin
            now <= hold[127:0];
            hold <= hold >> 128;
            left <= left - 4'd1;
            quad <= quad + 16'd1;
            odd <= !odd;
            if (odd) at <= at + out_step;
        end
        if (start) begin
            hold <= accs;
            left <= quads;
            quad <= {2'b0, par_channel[15:2]};
            at <= out_addr;
            odd <= 1'b0;
        end
        odds <= {odds[6:0], odd};
        ats[0] <= at;
        for (int i = 1; i < 8; i++) ats[i] <= ats[i-1];
        if (valid) half <= four;
        if (rst) begin
            left <= 4'd0;
            en <= '0;
        end
    end

    param_memory #(.CHANNELS(PAR_CHANNELS)) memory (
        .clk(clk), .we(par_we), .channel(par_waddr[QW+1:0]), .low(par_low), .high(par_high),
        .re(left != 0 && !own), .quad(quad[QW-1:0]), .q(params)
    );

    for (genvar l = 0; l < 4; l++) begin : lane
        requantise_lane requantise (
            .clk(clk), .en(en[6:0]), .acc(now[32*l +: 32]),
            .bias(own ? 32'd0 : params[69*l +: 32]),
            .multiplier(own ? own_multiplier : params[69*l+32 +: 31]),
            .shift(own ? own_shift : params[69*l+63 +: 6]),
            .zp(zp), .lo(lo), .hi(hi), .y(four[8*l +: 8])
        );
    end

    assign we = valid && odds[7];
    assign waddr = ats[7];
    assign wdata = {four, half};
    wire unused = &{1'b0, par_waddr[23:QW+2], par_channel[1:0]};
endmodule
