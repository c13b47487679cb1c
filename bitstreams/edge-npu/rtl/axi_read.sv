// Read side of the AXI4 master, shared by two clients (0 commands, 1 loads).
// Up to four bursts are under way, all with one ID, so that answers come in the order of the requests. `flush` drops
// what is still to come and takes nothing new: a burst once asked for cannot be taken back.
module axi_read (
    input  logic        clk,
    input  logic        rst,
    input  logic        flush,
    output logic        idle,

    input  logic        req_valid,
    input  logic        req_client,
    input  logic [31:0] req_addr,
    input  logic [4:0]  req_beats,
    output logic        req_ready,

    output logic        beat_valid,
    output logic        beat_client,
    output logic [63:0] beat_data,
    input  logic        beat_ready,
    output logic        error,
    output logic [1:0]  error_response,

    output logic [31:0] m_araddr,
    output logic [7:0]  m_arlen,
    output logic        m_arvalid,
    input  logic        m_arready,
    input  logic [63:0] m_rdata,
    input  logic [1:0]  m_rresp,
    input  logic        m_rlast,
    input  logic        m_rvalid,
    output logic        m_rready
);
    localparam DEPTH = 4;

    logic [DEPTH-1:0] clients;
    logic [2:0]       count;
    logic             push, pop;

    assign req_ready = !flush && (!m_arvalid || m_arready) && count != DEPTH;
    assign push = req_valid && req_ready;
    assign pop = m_rvalid && m_rready && m_rlast;
    assign idle = !m_arvalid && count == 0;

    assign m_rready = flush || beat_ready;
    assign beat_valid = m_rvalid && !flush;
    assign beat_client = clients[0];
    assign beat_data = m_rdata;
    assign error = m_rvalid && m_rready && m_rresp[1] && !flush;
    assign error_response = m_rresp;

    always_ff @(posedge clk) begin
        if (m_arready) m_arvalid <= 1'b0;
        if (push) begin
            m_arvalid <= 1'b1;
            m_araddr <= req_addr;
            m_arlen <= {3'b0, req_beats - 5'd1};
        end
        count <= count + {2'b0, push} - {2'b0, pop};
        if (pop) clients <= clients >> 1;
        if (push) clients[2'(count - {2'b0, pop})] <= req_client;
        if (rst) begin
            m_arvalid <= 1'b0;
            count <= 3'd0;
            clients <= '0;
        end
    end
endmodule
