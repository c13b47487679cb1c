// MAXPOOL: k x k with stride k, one read a cycle. What does not fill a window is dropped.
module max_pool (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic [23:0] in_base,
    input  logic [23:0] out_base,
    input  logic [15:0] height,
    input  logic [15:0] width,
    input  logic [15:0] groups,
    input  logic [3:0]  k,
    input  logic [23:0] plane,
    output logic        busy,
    output logic        re,
    output logic [23:0] raddr,
    input  logic [63:0] q,
    output logic        we,
    output logic [23:0] waddr,
    output logic [63:0] wdata
);
    logic        running, arrives, arrives_first, arrives_last, last_kx, last_ky, last_x, last_y;
    logic [3:0]  kx, ky;
    logic [15:0] x, y, group;    // x, y: first column and row of the window after this one
    logic [23:0] at_line, at_window, at_row, at_group, row_step;
    logic [63:0] larger;

    assign re = running;
    assign busy = running || arrives || we;
    assign last_kx = kx == k - 4'd1;
    assign last_ky = ky == k - 4'd1;
    assign last_x = {1'b0, x} + {13'b0, k} > {1'b0, width};
    assign last_y = {1'b0, y} + {13'b0, k} > {1'b0, height};
    always_comb begin
        row_step = 24'd0;
        for (int i = 0; i < 4; i++) if (k[i]) row_step += {8'b0, width} << i;
        for (int l = 0; l < 8; l++)
            larger[8*l +: 8] = arrives_first || $signed(q[8*l +: 8]) > $signed(wdata[8*l +: 8])
                               ? q[8*l +: 8] : wdata[8*l +: 8];
    end

    always_ff @(posedge clk) begin
        arrives <= running;
        arrives_first <= kx == 0 && ky == 0;
        arrives_last <= last_kx && last_ky;
        if (arrives) wdata <= larger;
        we <= arrives && arrives_last;
        if (we) waddr <= waddr + 24'd1;
        if (running) begin
            kx <= kx + 4'd1;
            raddr <= raddr + 24'd1;
            if (last_kx) begin
                kx <= 4'd0;
                ky <= ky + 4'd1;
                {raddr, at_line} <= {2{at_line + {8'b0, width}}};
                if (last_ky) begin
                    ky <= 4'd0;
                    x <= x + {12'b0, k};
                    {raddr, at_line, at_window} <= {3{at_window + {20'b0, k}}};
                    if (last_x) begin
                        x <= {12'b0, k};
                        y <= y + {12'b0, k};
                        {raddr, at_line, at_window, at_row} <= {4{at_row + row_step}};
                        if (last_y) begin
                            y <= {12'b0, k};
                            group <= group - 16'd1;
                            {raddr, at_line, at_window, at_row, at_group} <= {5{at_group + plane}};
                            if (group == 16'd1) running <= 1'b0;
                        end
                    end
                end
            end
        end
        if (start) begin
            running <= 1'b1;
            {kx, ky} <= '0;
            {x, y} <= {2{12'b0, k}};
            group <= groups;
            {raddr, at_line, at_window, at_row, at_group} <= {5{in_base}};
            waddr <= out_base;
        end
        if (rst) begin
            running <= 1'b0;
            arrives <= 1'b0;
            we <= 1'b0;
        end
    end
endmodule
