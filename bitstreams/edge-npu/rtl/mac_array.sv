// ROWS rows that see the same 8 activations; `done` marks the cycle in which all accumulators of a pixel stand.
module mac_array #(
    parameter ROWS = 16,
    parameter WORDS = 1024,
    localparam AW = $clog2(WORDS)
) (
    input  logic               clk,
    input  logic               rst,
    input  logic [ROWS-1:0]    we,
    input  logic [AW-1:0]      waddr,
    input  logic [63:0]        wdata,

    input  logic               tap_valid,
    input  logic               tap_padded,
    input  logic               tap_first,
    input  logic               tap_last,
    input  logic [AW-1:0]      wgt_addr,
    input  logic [63:0]        act_q,      // the word of a tap, one cycle after it
    input  logic [7:0]         pad_value,
    output logic               busy,
    output logic               done,
    output logic [ROWS*32-1:0] accs
);
    logic        padded;
    logic [63:0] x;
    logic [5:1]  valid, first, last;

    assign busy = tap_valid || valid != 0 || done;

    always_ff @(posedge clk) begin
        padded <= tap_padded;
        if (valid[1]) x <= padded ? {8{pad_value}} : act_q;
        valid <= {valid[4:1], tap_valid};
        first <= {first[4:1], tap_first};
        last <= {last[4:1], tap_last};
        done <= valid[5] && last[5];
        if (rst) begin
            valid <= '0;
            done <= 1'b0;
        end
    end

    for (genvar r = 0; r < ROWS; r++) begin : row
        mac_row #(.WORDS(WORDS)) mac (
            .clk(clk), .we(we[r]), .waddr(waddr), .wdata(wdata), .re(tap_valid), .raddr(wgt_addr), .x(x),
            .word_en(valid[1]), .product_en(valid[2]), .tree_en(valid[3]), .sum_en(valid[4]),
            .acc_en(valid[5]), .acc_first(first[5]), .acc(accs[32*r +: 32])
        );
    end
endmodule
