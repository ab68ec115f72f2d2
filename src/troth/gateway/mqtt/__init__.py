"""Devices come in here by MQTT: one session per connection, between a device and the broker."""
