"""The acts, in the order in which `troth.demo.play` plays them."""
