"""EST enrollments a second, from end to end, beside the bare handshakes of the same TLS stack in the same run."""
