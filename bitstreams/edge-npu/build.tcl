# Builds edge-npu.bit and edge-npu.hwh for one board:
#
#     vivado -mode batch -source build.tcl -tclargs pynq-z2            (or pynq-z1, zcu104)
#
# Written against UG994 (block designs), UG1118 (packaging IP), UG585 and UG1085 (processing systems); not run by us.
# DDR, clocks of the processor and pins are the boot image's business on a PYNQ board: only what the overlay touches is
# set here (one FCLK, one general port, one high performance port, one interrupt).

set here [file normalize [file dirname [info script]]]
set board [expr {$argc > 0 ? [lindex $argv 0] : "pynq-z2"}]
set out [file join $here build $board]

# part, ROWS, register window, processor
switch -- $board {
    pynq-z1 - pynq-z2 { set part xc7z020clg400-1;         set rows 16; set window 0x43C00000; set family zynq }
    zcu104            { set part xczu7ev-ffvc1156-2-e;    set rows 16; set window 0xA0000000; set family mpsoc }
    default           { puts stderr "unknown board $board: pynq-z1, pynq-z2 or zcu104"; exit 2 }
}
file mkdir $out

# 1. The RTL as an IP with the name, version and address window that the driver looks for.
set sources [concat [glob [file join $here rtl *.sv]] [file join $here vivado edge_npu_ip.v]]
create_project -force package [file join $out package] -part $part
add_files -norecurse $sources
add_files -norecurse [file join $here rtl npu_registers.svh]
set_property file_type {Verilog Header} [get_files npu_registers.svh]
set_property include_dirs [file join $here rtl] [current_fileset]
set_property top edge_npu_ip [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join $out ip] -vendor testbed -library user -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name edge_npu $core
set_property version 1.0 $core
set_property display_name edge_npu $core
set_property supported_families {zynq Production zynquplus Production} $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project

# 2. The block design: processing system, overlay, interconnects.
create_project -force edge-npu [file join $out project] -part $part
set_property ip_repo_paths [file join $out ip] [current_project]
update_ip_catalog
create_bd_design edge_npu
set npu [create_bd_cell -type ip -vlnv testbed:user:edge_npu:1.0 npu_0]
set_property CONFIG.ROWS $rows $npu

if {$family eq "zynq"} {
    set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps7_0]
    set_property -dict [list \
        CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \
        CONFIG.PCW_EN_CLK0_PORT 1 CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100 CONFIG.PCW_EN_RST0_PORT 1 \
        CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1] $ps
    set general ps7_0/M_AXI_GP0; set memory ps7_0/S_AXI_HP0; set clock ps7_0/FCLK_CLK0; set interrupt ps7_0/IRQ_F2P
    foreach port {DDR FIXED_IO} {
        make_bd_intf_pins_external [get_bd_intf_pins ps7_0/$port]
        set_property name $port [get_bd_intf_ports ${port}_0]
    }
} else {
    set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps_e_0]
    set_property -dict [list \
        CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__SAXIGP2__DATA_WIDTH 64 \
        CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100 \
        CONFIG.PSU__USE__IRQ0 1] $ps
    set general ps_e_0/M_AXI_HPM0_FPD; set memory ps_e_0/S_AXI_HP0_FPD; set clock ps_e_0/pl_clk0
    set interrupt ps_e_0/pl_ps_irq0
}
apply_bd_automation -rule xilinx.com:bd_rule:axi4 -config [list Master /$general Slave /npu_0/s_axi \
    Clk_master /$clock Clk_slave /$clock Clk_xbar /$clock] [get_bd_intf_pins npu_0/s_axi]
apply_bd_automation -rule xilinx.com:bd_rule:axi4 -config [list Master /npu_0/m_axi Slave /$memory \
    Clk_master /$clock Clk_slave /$clock Clk_xbar /$clock] [get_bd_intf_pins $memory]
connect_bd_net [get_bd_pins npu_0/irq] [get_bd_pins $interrupt]
assign_bd_address
set segment [get_bd_addr_segs -of_objects [get_bd_addr_spaces -of_objects [get_bd_intf_pins $general]] -filter {NAME =~ *npu_0*}]
set_property range 4K $segment
set_property offset $window $segment
validate_bd_design
save_bd_design

# 3. Synthesis, placement, routing; a design that misses its clock is not a result.
make_wrapper -files [get_files edge_npu.bd] -top -import
set_property top edge_npu_wrapper [current_fileset]
update_compile_order -fileset sources_1
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { puts stderr "implementation failed"; exit 1 }
open_run impl_1
report_utilization -file [file join $out utilization.txt]
report_timing_summary -file [file join $out timing.txt]
set slack [get_property SLACK [get_timing_paths -delay_type max]]
if {$slack < 0} { puts stderr "timing missed by $slack ns at 100 MHz: see timing.txt"; exit 1 }

# 4. The two files that the driver loads.
file copy -force [glob [file join $out project *.runs impl_1 *_wrapper.bit]] [file join $out edge-npu.bit]
file copy -force [glob [file join $out project *.gen sources_1 bd edge_npu hw_handoff edge_npu.hwh]] [file join $out edge-npu.hwh]
puts "built [file join $out edge-npu.bit] and .hwh; slack $slack ns"
