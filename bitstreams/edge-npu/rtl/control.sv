// AXI4-Lite slave and the registers behind it. Whole words only: a write with a byte strobe missing is answered SLVERR.
module control #(
    parameter ROWS = 16,
    parameter ACT_WORDS = 16384,
    parameter WGT_WORDS = 1024,
    parameter PAR_CHANNELS = 512
) (
    input  logic         clk,
    input  logic         rst,
    input  logic [11:0]  s_awaddr,
    input  logic         s_awvalid,
    output logic         s_awready,
    input  logic [31:0]  s_wdata,
    input  logic [3:0]   s_wstrb,
    input  logic         s_wvalid,
    output logic         s_wready,
    output logic [1:0]   s_bresp,
    output logic         s_bvalid,
    input  logic         s_bready,
    input  logic [11:0]  s_araddr,
    input  logic         s_arvalid,
    output logic         s_arready,
    output logic [31:0]  s_rdata,
    output logic [1:0]   s_rresp,
    output logic         s_rvalid,
    input  logic         s_rready,

    output logic         start,
    output logic         soft_reset,
    output logic         irq,
    output logic [31:0]  program_base,
    output logic [31:0]  program_commands,
    output logic [31:0]  commands_offset,
    output logic [31:0]  input_base,
    output logic [31:0]  output_base,
    output logic [31:0]  watchdog,
    output logic [127:0] exit_limits,
    output logic [255:0] mask,

    input  logic         busy,
    input  logic         begin_run,
    input  logic         set_done,
    input  logic         set_error,
    input  logic [3:0]   error_code,
    input  logic [17:0]  error_info,
    input  logic [63:0]  cycles,
    input  logic [63:0]  stalls,
    input  logic [63:0]  mac_cycles,
    input  logic [31:0]  commands,
    input  logic [7:0]   exit_number,
    input  logic [15:0]  exit_label
);
    `include "npu_registers.svh"

    logic        irq_enable, done, failed, writes, whole;
    logic [3:0]  code;
    logic [17:0] info;
    logic [31:0] program_hash, weights_valid, value;
    logic [11:0] at;

    assign irq = irq_enable && (done || failed);
    assign writes = s_awvalid && s_wvalid && !s_bvalid;
    assign whole = s_wstrb == 4'b1111;
    assign s_awready = writes;
    assign s_wready = writes;
    assign s_arready = !s_rvalid;
    assign s_rresp = 2'b00;
    assign at = {s_awaddr[11:2], 2'b00};
    assign start = writes && whole && at == NPU_CONTROL && s_wdata[NPU_CONTROL_START_BIT] && !busy;
    assign soft_reset = writes && whole && at == NPU_CONTROL && s_wdata[NPU_CONTROL_SOFT_RESET_BIT];

    always_ff @(posedge clk) begin
        if (s_bready) s_bvalid <= 1'b0;
        if (writes) begin
            s_bvalid <= 1'b1;
            s_bresp <= whole ? 2'b00 : 2'b10;
        end
        if (writes && whole) begin
            case (at)
                NPU_CONTROL: irq_enable <= s_wdata[NPU_CONTROL_IRQ_ENABLE_BIT];
                NPU_STATUS: begin
                    if (s_wdata[NPU_STATUS_DONE_BIT]) done <= 1'b0;
                    if (s_wdata[NPU_STATUS_ERROR_BIT]) failed <= 1'b0;
                end
                NPU_PROGRAM_BASE: program_base <= s_wdata;
                NPU_PROGRAM_COMMANDS: program_commands <= s_wdata;
                NPU_COMMANDS_OFFSET: commands_offset <= s_wdata;
                NPU_INPUT_BASE: input_base <= s_wdata;
                NPU_OUTPUT_BASE: output_base <= s_wdata;
                NPU_WATCHDOG: watchdog <= s_wdata;
                NPU_PROGRAM_HASH: program_hash <= s_wdata;
                NPU_WEIGHTS_VALID: weights_valid <= s_wdata;
                default: begin
                    if (at[11:4] == NPU_EXIT_LIMIT[11:4]) exit_limits[32*at[3:2] +: 32] <= s_wdata;
                    if (at[11:5] == NPU_MASK[11:5]) mask[32*at[4:2] +: 32] <= s_wdata;
                end
            endcase
        end
        if (begin_run) begin
            done <= 1'b0;
            failed <= 1'b0;
            code <= NPU_ERROR_NONE;
            info <= 18'd0;
        end
        if (set_done) done <= 1'b1;
        if (set_error) begin
            failed <= 1'b1;
            code <= error_code;
            info <= error_info;
        end
        if (soft_reset || rst) begin
            done <= 1'b0;
            failed <= 1'b0;
            code <= NPU_ERROR_NONE;
            info <= 18'd0;
            program_hash <= 32'd0;
            weights_valid <= 32'd0;
        end
        if (rst) begin
            s_bvalid <= 1'b0;
            irq_enable <= 1'b0;
            {program_base, program_commands, commands_offset, input_base, output_base, watchdog} <= '0;
            exit_limits <= '0;
            mask <= '0;
        end
    end

    always_comb begin
        case ({s_araddr[11:2], 2'b00})
            NPU_ID: value = NPU_ID_RESET;
            NPU_VERSION: value = NPU_VERSION_RESET;
            NPU_CAPS0: value = {16'(ACT_WORDS / 1024), 8'd8, 8'(ROWS)};
            NPU_CAPS1: value = {16'(PAR_CHANNELS), 16'(WGT_WORDS)};
            NPU_CONTROL: value = {31'b0, irq_enable} << NPU_CONTROL_IRQ_ENABLE_BIT;
            NPU_STATUS: value = {29'b0, failed, done, busy};
            NPU_ERROR: value = {28'b0, code};
            NPU_ERROR_INFO: value = {14'b0, info};
            NPU_PROGRAM_BASE: value = program_base;
            NPU_PROGRAM_COMMANDS: value = program_commands;
            NPU_COMMANDS_OFFSET: value = commands_offset;
            NPU_INPUT_BASE: value = input_base;
            NPU_OUTPUT_BASE: value = output_base;
            NPU_WATCHDOG: value = watchdog;
            NPU_PROGRAM_HASH: value = program_hash;
            NPU_WEIGHTS_VALID: value = weights_valid;
            NPU_CYCLES: value = cycles[31:0];
            NPU_CYCLES + 12'd4: value = cycles[63:32];
            NPU_STALL_AXI: value = stalls[31:0];
            NPU_STALL_AXI + 12'd4: value = stalls[63:32];
            NPU_BUSY_MAC: value = mac_cycles[31:0];
            NPU_BUSY_MAC + 12'd4: value = mac_cycles[63:32];
            NPU_COMMANDS: value = commands;
            NPU_EXIT: value = {8'b0, exit_label, exit_number};
            default: begin
                value = 32'd0;
                if (s_araddr[11:4] == NPU_EXIT_LIMIT[11:4]) value = exit_limits[32*s_araddr[3:2] +: 32];
                if (s_araddr[11:5] == NPU_MASK[11:5]) value = mask[32*s_araddr[4:2] +: 32];
            end
        endcase
    end

    always_ff @(posedge clk) begin
        if (s_rready) s_rvalid <= 1'b0;
        if (s_arvalid && s_arready) begin
            s_rvalid <= 1'b1;
            s_rdata <= value;
        end
        if (rst) s_rvalid <= 1'b0;
    end

    wire unused = &{1'b0, s_awaddr[1:0], s_araddr[1:0]};
endmodule
