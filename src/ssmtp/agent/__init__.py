"""The agent: it takes messages over a socket, keeps them durably, and sends them."""
