// Walks a convolution: output groups, rows, columns, input groups, kernel rows, kernel columns (innermost).
// One tap a cycle, without a gap between pixels. Addresses are only ever added to, never multiplied: each loop keeps
// the address at which its present turn began. `slot` keeps pixels at least SLOT cycles apart, which the requantiser
// needs when a pixel has fewer taps than that.
module conv_walker #(
    parameter ROWS = 16,
    parameter SLOT = 4
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic [23:0] in_base,
    input  logic [23:0] out_base,
    input  logic [23:0] wgt_base,
    input  logic [15:0] par_base,
    input  logic [15:0] h_in,
    input  logic [15:0] w_in,
    input  logic [15:0] h_out,
    input  logic [15:0] w_out,
    input  logic [15:0] in_groups,
    input  logic [15:0] out_groups,
    input  logic        kernel3,
    input  logic        stride2,
    input  logic [1:0]  pad_top,
    input  logic [1:0]  pad_left,
    input  logic [23:0] plane_in,
    input  logic [23:0] plane_out,
    output logic        busy,

    output logic        tap_valid,
    output logic        tap_padded,
    output logic        tap_first,
    output logic        tap_last,
    output logic [23:0] act_addr,
    output logic [23:0] wgt_addr,
    output logic [23:0] out_addr,
    output logic [15:0] par_channel
);
    logic [1:0]         kx, ky, kend;
    logic [15:0]        cg, ox, oy, og;
    logic [15:0]        cg_end, ox_end, oy_end, og_end;
    logic signed [17:0] x0, y0, x, y;
    logic [23:0]        at, at_line, at_group, at_pixel, at_row, at_start;
    logic [23:0]        wgt, wgt_start, out, out_start;
    logic [15:0]        par;
    logic [3:0]         slot;
    logic               last_kx, last_ky, last_cg, last_ox, last_oy, last_og, last_tap, issue;
    logic [23:0]        next_line, next_group, next_pixel, next_row, row_step, out_step;

    assign kend = kernel3 ? 2'd2 : 2'd0;
    assign last_kx = kx == kend;
    assign last_ky = ky == kend;
    assign last_cg = cg == cg_end;
    assign last_ox = ox == ox_end;
    assign last_oy = oy == oy_end;
    assign last_og = og == og_end;
    assign last_tap = last_kx && last_ky && last_cg;
    assign issue = busy && !(last_tap && slot < 4'(SLOT - 1));

    assign x = x0 + $signed({16'b0, kx});
    assign y = y0 + $signed({16'b0, ky});
    assign next_line = at_line + {8'b0, w_in};
    assign next_group = at_group + plane_in;
    assign next_pixel = at_pixel + (stride2 ? 24'd2 : 24'd1);
    assign row_step = stride2 ? {7'b0, w_in, 1'b0} : {8'b0, w_in};
    assign next_row = at_row + row_step;
    assign at_start = in_base - {22'b0, pad_left} - (pad_top[0] ? {8'b0, w_in} : 24'd0)
                      - (pad_top[1] ? {7'b0, w_in, 1'b0} : 24'd0);
    assign out_step = 24'(ROWS / 8) * plane_out;

    always_ff @(posedge clk) begin
        tap_valid <= issue;
        tap_padded <= x < 0 || y < 0 || x >= $signed({2'b0, w_in}) || y >= $signed({2'b0, h_in});
        tap_first <= kx == 0 && ky == 0 && cg == 0;
        tap_last <= last_tap;
        act_addr <= at;
        wgt_addr <= wgt;
        out_addr <= out;
        par_channel <= par;

        if (busy) slot <= slot == 4'd15 ? slot : slot + 4'd1;
        if (issue) begin
            wgt <= wgt + 24'd1;
            kx <= kx + 2'd1;
            at <= at + 24'd1;
            if (last_kx) begin
                kx <= 2'd0;
                ky <= ky + 2'd1;
                {at, at_line} <= {2{next_line}};
                if (last_ky) begin
                    ky <= 2'd0;
                    cg <= cg + 16'd1;
                    {at, at_line, at_group} <= {3{next_group}};
                    if (last_cg) begin
                        cg <= 16'd0;
                        slot <= 4'd0;
                        wgt <= wgt_start;
                        out <= out + 24'd1;
                        ox <= ox + 16'd1;
                        x0 <= x0 + (stride2 ? 18'sd2 : 18'sd1);
                        {at, at_line, at_group, at_pixel} <= {4{next_pixel}};
                        if (last_ox) begin
                            ox <= 16'd0;
                            x0 <= -$signed({16'b0, pad_left});
                            oy <= oy + 16'd1;
                            y0 <= y0 + (stride2 ? 18'sd2 : 18'sd1);
                            {at, at_line, at_group, at_pixel, at_row} <= {5{next_row}};
                            if (last_oy) begin
                                oy <= 16'd0;
                                y0 <= -$signed({16'b0, pad_top});
                                og <= og + 16'd1;
                                {at, at_line, at_group, at_pixel, at_row} <= {5{at_start}};
                                {wgt, wgt_start} <= {2{wgt + 24'd1}};
                                {out, out_start} <= {2{out_start + out_step}};
                                par <= par + 16'(ROWS);
                                if (last_og) busy <= 1'b0;
                            end
                        end
                    end
                end
            end
        end
        if (start) begin
            busy <= 1'b1;
            slot <= 4'd0;
            {kx, ky} <= '0;
            {cg, ox, oy, og} <= '0;
            cg_end <= in_groups - 16'd1;
            ox_end <= w_out - 16'd1;
            oy_end <= h_out - 16'd1;
            og_end <= out_groups - 16'd1;
            x0 <= -$signed({16'b0, pad_left});
            y0 <= -$signed({16'b0, pad_top});
            {at, at_line, at_group, at_pixel, at_row} <= {5{at_start}};
            {wgt, wgt_start} <= {2{wgt_base}};
            {out, out_start} <= {2{out_base}};
            par <= par_base;
        end
        if (rst) begin
            busy <= 1'b0;
            tap_valid <= 1'b0;
        end
    end
endmodule
