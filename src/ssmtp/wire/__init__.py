"""How octets get to a mailhub: sockets, proxies, TLS, and the two drivers."""
