// Memory with one write and one read port, inferred as block RAM: the word addressed now is on `q` next cycle.
// A read of the word that is being written gives the old or the new content: users keep the two apart.
module ram #(
    parameter WIDTH = 64,
    parameter WORDS = 1024,
    localparam AW = $clog2(WORDS)
) (
    input  logic             clk,
    input  logic             we,
    input  logic [AW-1:0]    waddr,
    input  logic [WIDTH-1:0] wdata,
    input  logic             re,
    input  logic [AW-1:0]    raddr,
    output logic [WIDTH-1:0] q
);
    logic [WIDTH-1:0] words [WORDS];

    always_ff @(posedge clk) begin
        if (we) words[waddr] <= wdata;
    end

    always_ff @(posedge clk) begin
        if (re) q <= words[raddr];
    end
endmodule
