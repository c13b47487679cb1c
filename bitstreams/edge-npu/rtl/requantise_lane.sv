// acc + bias, times multiplier, rounded shift, zero point, clamp: one value a cycle, seven stages.
// v = (acc * m + (1 << (s - 1))) >> s in 64 bits, arithmetic, half rounds up; y = clamp(v + zp, lo, hi).
module requantise_lane (
    input  logic              clk,
    input  logic [6:0]        en,        // one per stage
    input  logic signed [31:0] acc,
    input  logic signed [31:0] bias,
    input  logic [30:0]       multiplier,
    input  logic [5:0]        shift,
    input  logic signed [7:0] zp,
    input  logic signed [7:0] lo,
    input  logic signed [7:0] hi,
    output logic signed [7:0] y
);
    logic signed [31:0] sum;
    logic [30:0]        m;
    logic [5:0]         s0, s1, s2, s3, s4;
    logic signed [63:0] p1, p2, p3, rounded, shifted;
    logic signed [64:0] moved;

    assign moved = 65'(shifted) + 65'(zp);

    always_ff @(posedge clk) begin
        if (en[0]) begin
            sum <= acc + bias;
            m <= multiplier;
            s0 <= shift;
        end
        if (en[1]) begin
            p1 <= 64'(sum) * $signed({33'b0, m});
            s1 <= s0;
        end
        if (en[2]) begin
            p2 <= p1;
            s2 <= s1;
        end
        if (en[3]) begin
            p3 <= p2;
            s3 <= s2;
        end
        if (en[4]) begin
            rounded <= p3 + $signed(64'd1 << (s3 - 6'd1));
            s4 <= s3;
        end
        if (en[5]) shifted <= rounded >>> s4;
        if (en[6]) y <= moved < 65'(lo) ? lo : moved > 65'(hi) ? hi : moved[7:0];
    end
endmodule
