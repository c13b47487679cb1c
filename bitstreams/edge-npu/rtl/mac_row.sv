// One row of the array, one output channel: its weights, 8 multipliers, an adder tree and an int32 accumulator.
// Stages, a register each: weight word, word again (block RAM output), product, sums of four, sum of eight, accumulator.
module mac_row #(
    parameter WORDS = 1024,
    localparam AW = $clog2(WORDS)
) (
    input  logic          clk,
    input  logic          we,
    input  logic [AW-1:0] waddr,
    input  logic [63:0]   wdata,
    input  logic          re,
    input  logic [AW-1:0] raddr,
    input  logic [63:0]   x,        // 8 activations, two cycles after `raddr`
    input  logic          word_en,
    input  logic          product_en,
    input  logic          tree_en,
    input  logic          sum_en,
    input  logic          acc_en,
    input  logic          acc_first,
    output logic [31:0]   acc
);
    logic [63:0]        q, w;
    logic signed [15:0] product [8];
    logic signed [17:0] low, high;
    logic signed [18:0] sum;

    ram #(.WIDTH(64), .WORDS(WORDS)) weights (
        .clk(clk), .we(we), .waddr(waddr), .wdata(wdata), .re(re), .raddr(raddr), .q(q)
    );

    always_ff @(posedge clk) begin
        if (word_en) w <= q;
        if (product_en) begin
            for (int l = 0; l < 8; l++) product[l] <= $signed(w[8*l +: 8]) * $signed(x[8*l +: 8]);
        end
        if (tree_en) begin
            low <= 18'(product[0]) + 18'(product[1]) + 18'(product[2]) + 18'(product[3]);
            high <= 18'(product[4]) + 18'(product[5]) + 18'(product[6]) + 18'(product[7]);
        end
        if (sum_en) sum <= 19'(low) + 19'(high);
        if (acc_en) acc <= (acc_first ? 32'd0 : acc) + 32'(sum);
    end
endmodule
