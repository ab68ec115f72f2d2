"""How many certificates a second are issued, linted, stored and journaled, durably, beside the bare signing rate."""
