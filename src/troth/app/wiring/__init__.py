"""Which parts are put together to what: the database, the door to the CA keys, each process."""
