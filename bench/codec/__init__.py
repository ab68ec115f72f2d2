"""What reading and writing one MQTT packet costs, in either version."""
