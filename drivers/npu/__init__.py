"""The edge NPU from the host's side: compiler, command lists, program files, golden model, simulated device.

Takes quantised ONNX graphs; gives program files and what the device must answer, bit for bit. Does not know
boards, links or requests: ``drivers.boards.pynq`` does.
"""
