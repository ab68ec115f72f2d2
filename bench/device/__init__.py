"""What a device has to carry: bytes installed, seconds to start, memory while it runs."""
