// STORE: activations to memory, one burst at a time. Compute reads first; a store takes the cycles that are left.
module dma_store #(
    parameter ACT_WORDS = 16384
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  logic [31:0] destination,
    input  logic [23:0] source,
    input  logic [28:0] beats,
    output logic        busy,
    output logic        bad_address,

    input  logic        act_busy,   // compute reads activations now
    output logic        act_re,
    output logic [23:0] act_addr,
    input  logic [63:0] act_q,

    output logic        put,
    output logic [63:0] put_data,
    output logic        go,
    output logic [31:0] go_addr,
    input  logic        write_busy
);
    logic [28:0] left;
    logic [4:0]  burst, to_read, to_put;
    logic        arrives, sending;
    logic [31:0] next_addr;
    logic [4:0]  next_beats, first_beats, sent;

    burst_length length (.addr(go_addr), .left(left), .beats(burst));
    assign act_re = busy && !sending && to_read != 0 && !act_busy;
    assign bad_address = act_re && act_addr >= 24'(ACT_WORDS);
    assign put = arrives;
    assign put_data = act_q;
    assign go = busy && !sending && to_put == 0 && left != 0 && !write_busy;

    always_ff @(posedge clk) begin
        arrives <= act_re;
        if (act_re) begin
            act_addr <= act_addr + 24'd1;
            to_read <= to_read - 5'd1;
        end
        if (arrives) to_put <= to_put - 5'd1;
        if (go) begin
            sending <= 1'b1;
            left <= left - {24'b0, burst};
        end
        if (sending && !write_busy) begin
            sending <= 1'b0;
            go_addr <= next_addr;
            to_read <= next_beats;
            to_put <= next_beats;
            if (left == 0) busy <= 1'b0;
        end
        if (start) begin
            busy <= 1'b1;
            sending <= 1'b0;
            go_addr <= destination;
            act_addr <= source;
            left <= beats;
            to_read <= first_beats;
            to_put <= first_beats;
        end
        if (rst) begin
            busy <= 1'b0;
            arrives <= 1'b0;
            sending <= 1'b0;
        end
    end

    // A burst ends at a boundary or after 16 beats, so the next begins 8 bytes times its length further on.
    assign next_addr = go_addr + {24'b0, sent, 3'b0};
    burst_length next_length (.addr(next_addr), .left(left), .beats(next_beats));
    burst_length first_length (.addr(destination), .left(beats), .beats(first_beats));
    always_ff @(posedge clk) if (go) sent <= burst;
endmodule
