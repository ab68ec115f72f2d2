"""The power to sign: issuers, intents to issue, and the one door to a CA key."""
