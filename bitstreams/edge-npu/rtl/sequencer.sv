// Runs a command list: hands loads and stores to the DMA engine and the rest to compute, in order, as their flags allow;
// then has the result record written. The first error stops everything: units are reset, the bus runs dry, BUSY falls.
module sequencer (
    input  logic         clk,
    input  logic         rst,
    input  logic         start,
    input  logic         soft_reset,
    input  logic [31:0]  watchdog,
    input  logic         bases_bad,     // a base that is not a multiple of 64, or 128 for the output
    output logic         busy,
    output logic         begin_run,     // forget what the last run left
    output logic         closing,       // a command fetched beyond the end is dropped
    output logic         halt,          // units in reset, bus running dry
    output logic         set_done,
    output logic         set_error,
    output logic [3:0]   error_code,
    output logic [17:0]  error_info,
    output logic [63:0]  cycles,
    output logic [63:0]  stalls,
    output logic [63:0]  mac_cycles,
    output logic [31:0]  commands,
    output logic [7:0]   exit_number,
    output logic [15:0]  last_tag,

    input  logic         fetch_valid,
    input  logic         fetch_exhausted,
    input  logic [319:0] command,
    output logic         take,
    output logic         start_load,
    output logic         start_store,
    output logic         start_compute,
    output logic         start_record,
    input  logic         dma_busy,
    input  logic [15:0]  compute_tag,
    input  logic         compute_busy,
    input  logic         mac_busy,
    input  logic         leave,
    input  logic [1:0]   found_number,
    input  logic         record_busy,
    input  logic         read_idle,
    input  logic         write_idle,

    input  logic         dma_bad,
    input  logic         compute_bad,
    input  logic         read_error,
    input  logic [1:0]   read_response,
    input  logic         write_error,
    input  logic [1:0]   write_response
);
    `include "npu_registers.svh"
    localparam IDLE = 3'd0, RUN = 3'd1, TEST = 3'd2, DRAIN = 3'd3, RECORD = 3'd4, HALT = 3'd5;

    logic [2:0]  state;
    logic [7:0]  op;
    logic        wait_dma, wait_compute, is_load, is_store, is_compute, is_end, legal, dma_legal, ready, expired;
    logic        begun, fail;
    logic [3:0]  code;
    logic [15:0] dma_tag, tag;
    logic [31:0] length;

    assign op = command[7:0];
    assign wait_dma = command[8];
    assign wait_compute = command[9];
    assign tag = command[31:16];
    assign is_load = op == NPU_OP_LOAD;
    assign is_store = op == NPU_OP_STORE;
    assign is_end = op == NPU_OP_END;
    assign is_compute = op == NPU_OP_CONV || op == NPU_OP_ADD || op == NPU_OP_MAXPOOL || op == NPU_OP_AVGPOOL
                        || op == NPU_OP_EXIT;
    assign legal = is_load || is_store || is_end || is_compute;
    assign length = command[191:160];
    // Kind, base, alignment and length of a load or store; its addresses are checked as they are used.
    assign dma_legal = length != 0 && length[2:0] == 0 && command[98:96] == 0 && command[159:152] == 0
                       && (is_load ? command[63:34] == 0 && command[95:65] == 0 : command[63:32] == 0 && command[95:64] == 2)
                       && !(command[192] && (command[33:32] != 0 || command[255:224] == 0
                            || command[255:224] > 32'd256 || command[271:256] == 0));

    // DMA commands go one at a time, so do compute commands; the two run beside each other unless a flag says wait.
    assign ready = state == RUN && fetch_valid && legal
                   && !((is_load || is_store) && (dma_busy || (wait_compute && compute_busy)))
                   && !(is_compute && (compute_busy || (wait_dma && dma_busy)))
                   && !(is_end && (compute_busy || dma_busy));
    assign take = ready && !fail;
    assign start_load = take && is_load;
    assign start_store = take && is_store;
    assign start_compute = take && is_compute;
    assign begin_run = state == IDLE && start && !soft_reset;
    assign start_record = begun && state == RECORD;
    assign busy = state != IDLE;
    assign halt = state == HALT;
    assign closing = state == RECORD;
    assign expired = watchdog != 0 && cycles >= {32'b0, watchdog};

    always_comb begin
        code = NPU_ERROR_NONE;
        if (state == RUN && fetch_valid && !legal) code = NPU_ERROR_BAD_OPCODE;
        if (state == RUN && fetch_valid && (is_load || is_store) && !dma_legal) code = NPU_ERROR_BAD_ADDRESS_OR_LENGTH;
        if (state == RUN && (fetch_exhausted || bases_bad)) code = NPU_ERROR_BAD_ADDRESS_OR_LENGTH;
        if (expired) code = NPU_ERROR_WATCHDOG;
        if (dma_bad || compute_bad) code = NPU_ERROR_BAD_ADDRESS_OR_LENGTH;
        if (write_error) code = NPU_ERROR_AXI_WRITE_ERROR;
        if (read_error) code = NPU_ERROR_AXI_READ_ERROR;
    end
    assign fail = code != NPU_ERROR_NONE && state != IDLE && state != HALT;
    assign set_error = fail;
    assign error_code = code;
    assign error_info = {read_error ? read_response : write_error ? write_response : 2'b0,
                         dma_bad || read_error || write_error ? dma_tag : compute_bad ? compute_tag : tag};
    assign set_done = state == RECORD && !begun && !record_busy && read_idle && !fail;

    always_ff @(posedge clk) begin
        begun <= 1'b0;
        if (busy && !halt) begin
            cycles <= cycles + 64'd1;
            mac_cycles <= mac_cycles + {63'b0, mac_busy};
            if (!compute_busy && state != RECORD && (dma_busy || !fetch_valid)) stalls <= stalls + 64'd1;
        end
        if (take) begin
            commands <= commands + 32'd1;
            last_tag <= tag;
            if (is_load || is_store) dma_tag <= tag;
        end
        case (state)
            RUN: if (take) begin
                if (op == NPU_OP_EXIT) state <= TEST;
                if (is_end) begin
                    state <= RECORD;
                    begun <= 1'b1;
                    exit_number <= command[39:32];
                end
            end
            // The command starts a cycle after it was taken.
            TEST: if (!compute_busy && !start_compute) state <= leave ? DRAIN : RUN;
            DRAIN: if (!dma_busy) begin
                state <= RECORD;
                begun <= 1'b1;
                exit_number <= {6'b0, found_number};
            end
            RECORD: if (set_done) state <= IDLE;
            HALT: if (read_idle && write_idle) state <= IDLE;
            default: ;
        endcase
        if (begin_run) begin
            state <= RUN;
            cycles <= 64'd0;
            stalls <= 64'd0;
            mac_cycles <= 64'd0;
            commands <= 32'd0;
            exit_number <= 8'd0;
        end
        if (fail || soft_reset) state <= HALT;
        if (soft_reset || rst) begin
            cycles <= 64'd0;
            stalls <= 64'd0;
            mac_cycles <= 64'd0;
            commands <= 32'd0;
            exit_number <= 8'd0;
            last_tag <= 16'd0;
        end
        if (rst) state <= IDLE;
    end
    wire unused = &{1'b0, command[319:272], command[223:193], command[151:99], command[15:10]};
endmodule
