"""Takes messages and gives bytes, takes bytes and gives messages: what host and board say to each other.

Frames with checks, typed messages, and one session automaton that serves both ends; runs on Python 3.8.
Does not know sockets, threads, clocks, the model's types or what a message is good for.
"""

from __future__ import annotations

from testbed.wire import messages
from testbed.wire.automaton import Role, State
from testbed.wire.codec import Tensor
from testbed.wire.frames import Frame, FrameDecoder, encode_frame
from testbed.wire.messages import PROTOCOL_VERSION, Message, decode_message, encode_message
from testbed.wire.session import Session

__all__ = [
    "PROTOCOL_VERSION",
    "Frame",
    "FrameDecoder",
    "Message",
    "Role",
    "Session",
    "State",
    "Tensor",
    "decode_message",
    "encode_frame",
    "encode_message",
    "messages",
]
