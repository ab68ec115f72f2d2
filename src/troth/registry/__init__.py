"""All that is public: things, types, certificates, issuers, profiles, policies; who is attached to what; who is here.

Every mutation takes a `troth.journal.change.Change`; every look-up takes a connection. Knows no key and no socket.
"""
