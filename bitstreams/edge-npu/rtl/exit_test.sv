// EXIT: the largest logit and its first class, then the sum of table[max - logit] over all classes, one class a cycle.
// The smaller the sum, the surer the answer: 32768 / sum is the largest softmax.
module exit_test (
    input  logic         clk,
    input  logic         rst,
    input  logic         clear,     // a new run: forget what the last one found
    input  logic         start,
    input  logic [23:0]  base,
    input  logic [15:0]  classes,
    input  logic [1:0]   number,
    input  logic [1:0]   table_number,
    input  logic         always_leave,
    input  logic [31:0]  limit,
    output logic         busy,
    output logic         leave,

    output logic         re,
    output logic [23:0]  raddr,
    input  logic [63:0]  q,
    input  logic         tab_we,
    input  logic [7:0]   tab_waddr,     // {table, word of four entries}
    input  logic [63:0]  tab_wdata,

    output logic [1:0]   found_number,
    output logic [15:0]  found_label,
    output logic [31:0]  found_sum,
    output logic [511:0] logits
);
    logic              reading, summing, deciding, pass_end;
    logic [15:0]       at, seen;
    logic [1:0]        en;              // en[0]: a logit is on q; en[1]: its table entry is there
    logic [2:0]        lane;
    logic signed [7:0] value, largest;
    logic [7:0]        distance;
    logic [1:0]        entry;
    logic [63:0]       entries;

    assign busy = reading || en != 0 || deciding;
    assign re = reading;
    assign raddr = base + {11'b0, at[15:3]};
    assign value = q[8*lane +: 8];
    assign distance = largest - value;
    assign deciding = pass_end && summing;

    ram #(.WIDTH(64), .WORDS(256)) tables (
        .clk(clk), .we(tab_we), .waddr(tab_waddr), .wdata(tab_wdata),
        .re(en[0] && summing), .raddr({table_number, distance[7:2]}), .q(entries)
    );

    always_ff @(posedge clk) begin
        lane <= at[2:0];
        seen <= at;
        en <= {en[0], reading};
        entry <= distance[1:0];
        pass_end <= 1'b0;
        if (reading) begin
            at <= at + 16'd1;
            if (at == classes - 16'd1) reading <= 1'b0;
        end
        if (en[0] && !summing) begin
            if (lane == 0 && seen[15:6] == 0) logits[64*seen[5:3] +: 64] <= q;
            if (seen == 0 || value > largest) begin
                largest <= value;
                found_label <= seen;
            end
        end
        if (en[1] && summing) found_sum <= found_sum + {16'b0, entries[16*entry +: 16]};
        if (en[1] && !en[0] && !reading) begin
            pass_end <= 1'b1;
            if (!summing) begin
                summing <= 1'b1;
                reading <= 1'b1;
                at <= 16'd0;
                found_sum <= 32'd0;
                pass_end <= 1'b0;
            end
        end
        if (deciding) begin
            leave <= always_leave || (limit != 0 && found_sum <= limit);
            summing <= 1'b0;
        end
        if (start) begin
            reading <= 1'b1;
            summing <= 1'b0;
            at <= 16'd0;
            found_number <= number;
            leave <= 1'b0;
            logits <= '0;
        end
        if (clear || rst) begin
            leave <= 1'b0;
            found_number <= 2'd0;
            found_label <= 16'd0;
            found_sum <= 32'd0;
            logits <= '0;
        end
        if (rst) begin
            reading <= 1'b0;
            summing <= 1'b0;
            pass_end <= 1'b0;
            en <= '0;
        end
    end
endmodule
