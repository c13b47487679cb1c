// ADD: two reads a word, eight lanes of two multipliers.
// y = clamp((((a - za) * ma + (b - zb) * mb + (1 << (s - 1))) >> s) + zy, lo, hi).
// The sum fits 36 bits, so a shift of more than 38 gives what 38 gives: zero.
module add_unit (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic [23:0] a_base,
    input  logic [23:0] b_base,
    input  logic [23:0] out_base,
    input  logic [23:0] words,
    input  logic signed [24:0] ma,
    input  logic signed [24:0] mb,
    input  logic [5:0]  shift,
    input  logic signed [7:0] za,
    input  logic signed [7:0] zb,
    input  logic signed [7:0] zy,
    input  logic signed [7:0] lo,
    input  logic signed [7:0] hi,
    output logic        busy,
    output logic        re,
    output logic [23:0] raddr,
    input  logic [63:0] q,
    output logic        we,
    output logic [23:0] waddr,
    output logic [63:0] wdata
);
    logic [23:0] index, left;
    logic        second;
    logic [5:0]  s;
    logic        got_a;
    logic [4:0]  en;        // en[0]: b is on q; en[4]: the word stands
    logic [63:0] a;

    assign re = left != 0;
    assign raddr = (second ? b_base : a_base) + index;
    assign busy = left != 0 || got_a || en != 0;
    assign we = en[4];
    assign s = shift > 6'd38 ? 6'd38 : shift;

    always_ff @(posedge clk) begin
        got_a <= re && !second;
        if (got_a) a <= q;
        en <= {en[3:0], re && second};
        if (re) begin
            second <= !second;
            if (second) begin
                index <= index + 24'd1;
                left <= left - 24'd1;
            end
        end
        if (we) waddr <= waddr + 24'd1;
        if (start) begin
            index <= 24'd0;
            left <= words;
            second <= 1'b0;
            waddr <= out_base;
        end
        if (rst) begin
            left <= 24'd0;
            got_a <= 1'b0;
            en <= '0;
        end
    end

    for (genvar l = 0; l < 8; l++) begin : lane
        logic signed [8:0]  da, db;
        logic signed [33:0] pa, pb;
        logic signed [39:0] sum, moved;
        logic signed [7:0]  y;
        assign da = 9'($signed(a[8*l +: 8])) - 9'(za);
        assign db = 9'($signed(q[8*l +: 8])) - 9'(zb);
        always_ff @(posedge clk) begin
            if (en[0]) begin
                pa <= 34'(da) * 34'(ma);
                pb <= 34'(db) * 34'(mb);
            end
            if (en[1]) sum <= 40'(pa) + 40'(pb) + $signed(40'd1 << (s - 6'd1));
            if (en[2]) moved <= (sum >>> s) + 40'(zy);
            if (en[3]) y <= moved < 40'(lo) ? lo : moved > 40'(hi) ? hi : moved[7:0];
        end
        assign wdata[8*l +: 8] = y;
    end
endmodule
