// Beats of the next burst: at most 16, and never across a boundary of 4 KiB (AXI4, A3.4.1).
module burst_length (
    input  logic [31:0] addr,
    input  logic [28:0] left,
    output logic [4:0]  beats
);
    logic [9:0] to_boundary;
    logic [4:0] most;

    assign to_boundary = 10'd512 - {1'b0, addr[11:3]};
    assign most = to_boundary < 10'd16 ? to_boundary[4:0] : 5'd16;
    assign beats = left < {24'b0, most} ? left[4:0] : most;

    wire unused = &{1'b0, addr[31:12], addr[2:0]};
endmodule
