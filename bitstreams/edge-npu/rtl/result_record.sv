// The record that a run leaves at OUTPUT_BASE: 16 words of 8 bytes, one burst.
module result_record (
    input  logic         clk,
    input  logic         rst,
    input  logic         start,
    input  logic [31:0]  destination,
    input  logic [7:0]   exit_number,
    input  logic [15:0]  label,
    input  logic [31:0]  sum,
    input  logic [63:0]  cycles,
    input  logic [63:0]  stalls,
    input  logic [15:0]  tag,
    input  logic [511:0] logits,
    output logic         busy,
    output logic         put,
    output logic [63:0]  put_data,
    output logic         go,
    output logic [31:0]  go_addr,
    input  logic         write_busy
);
    `include "npu_registers.svh"
    logic [4:0] at;
    logic       filling, sent;

    assign busy = filling || sent;
    assign put = filling && at != 5'd16;
    assign go = filling && at == 5'd16;
    assign go_addr = destination;

    always_comb begin
        case (at[3:0])
            4'd0: put_data = {24'b0, exit_number, NPU_RECORD_MAGIC};
            4'd1: put_data = {sum, 16'b0, label};
            4'd2: put_data = cycles;
            4'd3: put_data = stalls;
            4'd4: put_data = {16'b0, tag, 32'b0};
            4'd5, 4'd6, 4'd7: put_data = 64'd0;
            default: put_data = logits[64*at[2:0] +: 64];
        endcase
    end

    always_ff @(posedge clk) begin
        if (put) at <= at + 5'd1;
        if (go) begin
            filling <= 1'b0;
            sent <= 1'b1;
        end
        if (sent && !write_busy) sent <= 1'b0;
        if (start) begin
            filling <= 1'b1;
            at <= 5'd0;
        end
        if (rst) begin
            filling <= 1'b0;
            sent <= 1'b0;
        end
    end
endmodule
