// LOAD: memory to scratch. Requests run ahead of the beats, so that the latency of memory is paid once a command.
// Units of the destination: ACT one beat a word, WGT `ROWS` beats, PAR two beats a channel, TAB 64 beats a table.
module dma_load #(
    parameter ROWS = 16,
    parameter ACT_WORDS = 16384,
    parameter WGT_WORDS = 1024,
    parameter PAR_CHANNELS = 512,
    parameter TABLES = 4
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            start,
    input  logic [1:0]      kind,
    input  logic [31:0]     source,
    input  logic [23:0]     destination,
    input  logic [28:0]     beats,
    input  logic            masked,
    input  logic [8:0]      mask_rows,
    input  logic [15:0]     row_words,
    input  logic [7:0]      neutral,
    input  logic [255:0]    mask,
    output logic            busy,
    output logic            bad_address,

    output logic            req_valid,
    output logic [31:0]     req_addr,
    output logic [4:0]      req_beats,
    input  logic            req_ready,
    input  logic            beat_valid,
    input  logic [63:0]     beat_data,
    output logic            beat_ready,

    input  logic            act_busy,   // compute writes activations now
    output logic            act_we,
    output logic [ROWS-1:0] wgt_we,
    output logic            par_we,
    output logic            tab_we,
    output logic [23:0]     waddr,
    output logic [5:0]      part,
    output logic [63:0]     wdata,
    output logic [63:0]     previous    // the beat before: PAR writes two at once
);
    localparam ACT = 2'd0, WGT = 2'd1, PAR = 2'd2;

    logic [1:0]  to;
    logic [28:0] to_request, to_receive;
    logic        use_mask, lost, part_last, taken, fits, odd;
    logic [8:0]  y, rows;
    logic [15:0] x, words;
    logic [7:0]  instead;
    logic [5:0]  parts;
    logic [4:0]  burst;

    burst_length length (.addr(req_addr), .left(to_request), .beats(burst));
    assign req_valid = to_request != 0;
    assign req_beats = burst;

    assign beat_ready = !(to == ACT && act_busy);
    assign taken = busy && beat_valid && beat_ready;
    assign part_last = part == parts;

    assign fits = waddr < (to == ACT ? 24'(ACT_WORDS) : to == WGT ? 24'(WGT_WORDS)
                           : to == PAR ? 24'(PAR_CHANNELS) : 24'(TABLES));
    // What the requantiser cannot do: shift by 0 or by more than 62, a multiplier of 32 bits.
    assign odd = to == PAR && part[0] && (beat_data[7:0] == 8'd0 || beat_data[7:0] > 8'd62 || previous[63]);
    assign bad_address = taken && (!fits || odd || (to_receive == 29'd1 && !part_last));

    assign lost = use_mask && mask[y[7:0]];
    assign wdata = lost ? {8{instead}} : beat_data;
    assign act_we = taken && fits && to == ACT;
    assign par_we = taken && fits && to == PAR && part[0];
    assign tab_we = taken && fits && to == 2'd3;
    always_comb begin
        wgt_we = '0;
        for (int r = 0; r < ROWS; r++) wgt_we[r] = taken && fits && to == WGT && part == 6'(r);
    end

    always_ff @(posedge clk) begin
        if (req_valid && req_ready) begin
            req_addr <= req_addr + {24'b0, burst, 3'b0};
            to_request <= to_request - {24'b0, burst};
        end
        if (taken) begin
            previous <= beat_data;
            to_receive <= to_receive - 29'd1;
            if (to_receive == 29'd1) busy <= 1'b0;
            part <= part_last ? 6'd0 : part + 6'd1;
            if (part_last) waddr <= waddr + 24'd1;
            x <= x + 16'd1;
            if (x == words) begin
                x <= 16'd0;
                y <= y == rows ? 9'd0 : y + 9'd1;
            end
        end
        if (start) begin
            busy <= 1'b1;
            to <= kind;
            req_addr <= source;
            to_request <= beats;
            to_receive <= beats;
            waddr <= destination;
            part <= 6'd0;
            parts <= kind == ACT ? 6'd0 : kind == WGT ? 6'(ROWS - 1) : kind == PAR ? 6'd1 : 6'd63;
            use_mask <= masked;
            rows <= mask_rows - 9'd1;
            words <= row_words - 16'd1;
            instead <= neutral;
            x <= 16'd0;
            y <= 9'd0;
        end
        if (rst) begin
            busy <= 1'b0;
            to_request <= 29'd0;
            to_receive <= 29'd0;
            use_mask <= 1'b0;
        end
    end
endmodule
