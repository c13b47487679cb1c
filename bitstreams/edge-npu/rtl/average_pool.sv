// AVGPOOL: sums a map of each group of 8 channels, one word a cycle, and hands the eight sums to the requantiser.
module average_pool (
    input  logic         clk,
    input  logic         rst,
    input  logic         start,
    input  logic [23:0]  in_base,
    input  logic [23:0]  out_base,
    input  logic [15:0]  groups,
    input  logic [23:0]  plane,
    input  logic signed [7:0] zx,
    output logic         busy,
    output logic         re,
    output logic [23:0]  raddr,
    input  logic [63:0]  q,
    output logic         done,      // the sums of one group stand
    output logic [255:0] sums,
    output logic [23:0]  out_addr
);
    logic [23:0] left;
    logic [15:0] group;
    logic        first, gap, arrives, arrives_first, arrives_last;

    // The requantiser takes two cycles for a group, also when a map is a single word: a gap after each.
    assign re = group != 0 && !gap;
    assign busy = group != 0 || arrives || done;

    always_ff @(posedge clk) begin
        arrives <= re;
        gap <= re && left == 24'd1;
        arrives_first <= first;
        arrives_last <= left == 24'd1;
        done <= arrives && arrives_last;
        if (done) out_addr <= out_addr + 24'd1;
        if (re) begin
            raddr <= raddr + 24'd1;
            first <= 1'b0;
            left <= left - 24'd1;
            if (left == 24'd1) begin
                left <= plane;
                first <= 1'b1;
                group <= group - 16'd1;
            end
        end
        if (start) begin
            raddr <= in_base;
            out_addr <= out_base;
            left <= plane;
            first <= 1'b1;
            group <= groups;
        end
        if (rst) begin
            group <= 16'd0;
            gap <= 1'b0;
            arrives <= 1'b0;
            done <= 1'b0;
        end
    end

    for (genvar l = 0; l < 8; l++) begin : lane
        logic signed [31:0] sum;
        always_ff @(posedge clk)
            if (arrives) sum <= (arrives_first ? 32'sd0 : sum) + 32'($signed(q[8*l +: 8])) - 32'(zx);
        assign sums[32*l +: 32] = sum;
    end
endmodule
