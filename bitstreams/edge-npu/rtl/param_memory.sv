// Per output channel bias, multiplier and shift; four channels at a time, as the requantiser takes them.
module param_memory #(
    parameter CHANNELS = 512,
    localparam AW = $clog2(CHANNELS / 4)
) (
    input  logic          clk,
    input  logic          we,
    input  logic [AW+1:0] channel,
    input  logic [63:0]   low,      // bias, then the multiplier in 31 bits
    input  logic [5:0]    high,     // shift
    input  logic          re,
    input  logic [AW-1:0] quad,
    output logic [4*69-1:0] q       // {shift, multiplier, bias} of each channel
);
    for (genvar b = 0; b < 4; b++) begin : bank
        ram #(.WIDTH(69), .WORDS(CHANNELS / 4)) channels (
            .clk(clk), .we(we && channel[1:0] == 2'(b)), .waddr(channel[AW+1:2]), .wdata({high, low[62:0]}),
            .re(re), .raddr(quad), .q(q[69*b +: 69])
        );
    end

    wire unused = &{1'b0, low[63]};
endmodule
