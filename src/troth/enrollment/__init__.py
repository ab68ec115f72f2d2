"""Who may have what: tokens and other proofs, and the flow from a proof to a certificate."""
