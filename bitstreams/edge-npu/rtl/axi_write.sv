// Write side of the AXI4 master: a buffer of one burst, filled with `put`, sent with `go`.
// A burst that has begun is always finished; `flush` only forgets what was put and not yet sent.
module axi_write (
    input  logic        clk,
    input  logic        rst,
    input  logic        flush,
    output logic        busy,

    input  logic        put,
    input  logic [63:0] put_data,
    input  logic        go,
    input  logic [31:0] go_addr,
    output logic        error,
    output logic [1:0]  error_response,

    output logic [31:0] m_awaddr,
    output logic [7:0]  m_awlen,
    output logic        m_awvalid,
    input  logic        m_awready,
    output logic [63:0] m_wdata,
    output logic        m_wlast,
    output logic        m_wvalid,
    input  logic        m_wready,
    input  logic [1:0]  m_bresp,
    input  logic        m_bvalid,
    output logic        m_bready
);
    logic [63:0] buffer [16];
    logic [4:0]  fill, beat;

    assign m_wdata = buffer[beat[3:0]];
    assign m_wlast = beat == fill - 5'd1;
    assign m_wvalid = busy && beat != fill;
    assign m_bready = busy;
    assign error = m_bvalid && m_bready && m_bresp[1];
    assign error_response = m_bresp;

    always_ff @(posedge clk) begin
        if (put && !busy) buffer[fill[3:0]] <= put_data;
    end

    always_ff @(posedge clk) begin
        if (m_awready) m_awvalid <= 1'b0;
        if (busy) begin
            if (m_wvalid && m_wready) beat <= beat + 5'd1;
            if (m_bvalid) begin
                busy <= 1'b0;
                fill <= 5'd0;
            end
        end else if (flush) begin
            fill <= 5'd0;
        end else if (go) begin
            busy <= 1'b1;
            beat <= 5'd0;
            m_awvalid <= 1'b1;
            m_awaddr <= go_addr;
            m_awlen <= {3'b0, fill - 5'd1};
        end else if (put) begin
            fill <= fill + 5'd1;
        end
        if (rst) begin
            busy <= 1'b0;
            fill <= 5'd0;
            beat <= 5'd0;
            m_awvalid <= 1'b0;
        end
    end
endmodule
