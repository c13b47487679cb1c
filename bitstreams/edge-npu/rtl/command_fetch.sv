// Fetches the command after the current one, so that its 64 bytes are here when the current one has been handed on.
module command_fetch (
    input  logic         clk,
    input  logic         rst,
    input  logic         start,
    input  logic [31:0]  first_addr,
    input  logic [31:0]  commands,
    input  logic         take,
    output logic         valid,
    output logic         exhausted,
    output logic [511:0] command,

    output logic         req_valid,
    output logic [31:0]  req_addr,
    input  logic         req_ready,
    input  logic         beat_valid,
    input  logic [63:0]  beat_data
);
    logic        receiving;
    logic [2:0]  beat;
    logic [31:0] left;

    assign exhausted = !req_valid && !receiving && !valid && left == 0;

    always_ff @(posedge clk) begin
        if (req_valid && req_ready) begin
            req_valid <= 1'b0;
            receiving <= 1'b1;
        end
        if (receiving && beat_valid) begin
            command <= {beat_data, command[511:64]};
            beat <= beat + 3'd1;
            if (beat == 3'd7) begin
                receiving <= 1'b0;
                valid <= 1'b1;
                left <= left - 32'd1;
                req_addr <= req_addr + 32'd64;
            end
        end
        if (take) begin
            valid <= 1'b0;
            req_valid <= left != 0;
        end
        if (start) begin
            req_addr <= first_addr;
            left <= commands;
            req_valid <= commands != 0;
        end
        if (rst) begin
            req_valid <= 1'b0;
            receiving <= 1'b0;
            valid <= 1'b0;
            beat <= 3'd0;
            left <= 32'd0;
        end
    end
endmodule
